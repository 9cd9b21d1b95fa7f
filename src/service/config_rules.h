/*
 * config_rules.h: [rules] of a configuration, put together and held against itself. Beside the keys of the
 * table the section has three kinds of keys with names of one's own:
 *
 *   boost.NAME = category:CATEGORY FACTOR      bury.NAME = attribute:NAME=VALUE FACTOR
 *   pin.PLACE = ITEM
 */
#ifndef FRESHET_SERVICE_CONFIG_RULES_H
#define FRESHET_SERVICE_CONFIG_RULES_H

#include "service/config.h"

/* Is it one of the keys with a name of one's own? name: without "rules.". */
bool freshet_config_is_rule(const char* name);
/* Fills config->rules.compiled. Errors: FRESHET_INVALID for a value that says nothing, and for two rules that
 * contradict each other: the message names both and where they stand. */
freshet_status freshet_config_compile_rules(freshet_config* config, freshet_error* error);

#endif
