#include "commands/commands.h"

#include <stddef.h>

const freshet_command* const freshet_commands[] = {
    &freshet_command_bench,
    &freshet_command_config,
    &freshet_command_embed,
    NULL,
};
