/*
 * commands.c: the table of the subcommands, in the order in which `freshet help` lists them. A command is added
 * here and in commands.h; it knows nothing of what a command does.
 */
#include "commands/commands.h"

#include <stddef.h>

/* One a line, so that two people can add commands at the same time. */
// clang-format off
const freshet_command* const freshet_commands[] = {
    &freshet_command_run,
    &freshet_command_config,
    &freshet_command_evaluate,
    &freshet_command_embed,
    &freshet_command_demo,
    &freshet_command_fetch_model,
    &freshet_command_bench,
    &freshet_command_recommend,
    &freshet_command_explain_weights,
    &freshet_command_replay,
    &freshet_command_offsets,
    &freshet_command_backfill,
    &freshet_command_topics,
    &freshet_command_repair,
    &freshet_command_erase,
    &freshet_command_export,
    &freshet_command_import,
    &freshet_command_doctor,
    NULL,
};
// clang-format on
