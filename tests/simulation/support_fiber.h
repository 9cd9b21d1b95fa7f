/*
 * support_fiber.h: a flow of control with a stack of its own. It runs while somebody resumes it, and so one at a time.
 * A switch costs a hundredth of what two threads need to wake each other. It must not know what it runs.
 */
#ifndef FRESHET_TESTS_SUPPORT_FIBER_H
#define FRESHET_TESTS_SUPPORT_FIBER_H

#include <stdbool.h>

typedef struct sim_fiber sim_fiber;

/* It does not run yet. */
sim_fiber* sim_fiber_create(void (*body)(void* context), void* context);
/* Runs it until it leaves or its body returns. It must not have ended. */
void sim_fiber_resume(sim_fiber* fiber);
/* Goes back to whoever has resumed it. Called from its body only. */
void sim_fiber_leave(sim_fiber* fiber);
/* The caller runs in it. NULL: never. */
bool sim_fiber_is_running(const sim_fiber* fiber);
/* It has never run, or its body has returned. NULL is allowed. */
void sim_fiber_destroy(sim_fiber* fiber);

#endif
