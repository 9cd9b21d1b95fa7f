/*
 * support_fiber.c: fibers on POSIX contexts. Stacks are kept for the next fiber: their pages cost more than a switch.
 */
#include "support_fiber.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "freshet/status.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#else /* the sanitizer has to know which stack is in use */
#define __sanitizer_start_switch_fiber(fake, bottom, size) ((void)(fake), (void)(bottom), (void)(size))
#define __sanitizer_finish_switch_fiber(fake, bottom, size) ((void)(fake), (void)(bottom), (void)(size))
#endif

enum { STACK_BYTES = 8 << 20, GUARD_BYTES = 64 << 10, SPARE_MAX = 16 };

struct sim_fiber {
  void (*body)(void* context);
  void* context;
  bool has_begun, has_ended;
  char* stack;
  ucontext_t own, back;
  /* Of whoever has resumed it; for the sanitizer. */
  const void* back_stack;
  size_t back_size;
};

static sim_fiber* running; /* NULL: none */
static char* spare[SPARE_MAX];
static size_t spare_count;

static char* take_stack(void) {
  if (spare_count > 0) return spare[--spare_count];
  char* stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  FRESHET_ASSERT(stack != MAP_FAILED && mprotect(stack, GUARD_BYTES, PROT_NONE) == 0);
  return stack;
}

static void give_stack(char* stack) {
  if (spare_count < SPARE_MAX) {
    spare[spare_count++] = stack;
  } else {
    munmap(stack, STACK_BYTES);
  }
}

/* The first function on a stack. What it is asked to run is in `running`. It has no variables that a sanitizer would
 * guard, since it ends on another stack than it began. */
static void __attribute__((no_sanitize_address)) begin(void) {
  __sanitizer_finish_switch_fiber(NULL, &running->back_stack, &running->back_size);
  running->body(running->context);
  running->has_ended = true;
  __sanitizer_start_switch_fiber(NULL, running->back_stack, running->back_size);
}

sim_fiber* sim_fiber_create(void (*body)(void* context), void* context) {
  sim_fiber* fiber = calloc(1, sizeof *fiber);
  FRESHET_ASSERT(fiber != NULL);
  fiber->body = body;
  fiber->context = context;
  fiber->stack = take_stack();
  FRESHET_ASSERT(getcontext(&fiber->own) == 0);
  fiber->own.uc_stack = (stack_t){.ss_sp = fiber->stack, .ss_size = STACK_BYTES};
  fiber->own.uc_link = &fiber->back;
  makecontext(&fiber->own, begin, 0);
  return fiber;
}

void sim_fiber_resume(sim_fiber* fiber) {
  void* fake = NULL;
  FRESHET_ASSERT(running == NULL && !fiber->has_ended);
  running = fiber;
  fiber->has_begun = true;
  __sanitizer_start_switch_fiber(&fake, fiber->stack, STACK_BYTES);
  FRESHET_ASSERT(swapcontext(&fiber->back, &fiber->own) == 0);
  __sanitizer_finish_switch_fiber(fake, NULL, NULL);
  running = NULL;
}

void sim_fiber_leave(sim_fiber* fiber) {
  void* fake = NULL;
  FRESHET_ASSERT(running == fiber);
  __sanitizer_start_switch_fiber(&fake, fiber->back_stack, fiber->back_size);
  FRESHET_ASSERT(swapcontext(&fiber->own, &fiber->back) == 0);
  __sanitizer_finish_switch_fiber(fake, &fiber->back_stack, &fiber->back_size);
}

bool sim_fiber_is_running(const sim_fiber* fiber) {
  return fiber != NULL && running == fiber;
}

void sim_fiber_destroy(sim_fiber* fiber) {
  if (fiber == NULL) return;
  FRESHET_ASSERT(fiber->has_ended || !fiber->has_begun);
  give_stack(fiber->stack);
  free(fiber);
}
