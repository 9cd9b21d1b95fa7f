/*
 * embed_status.h: `freshet embed --status`: the encoder generations of an application, read from its topics,
 * whether a worker runs or not.
 */
#ifndef FRESHET_COMMANDS_EMBED_STATUS_H
#define FRESHET_COMMANDS_EMBED_STATUS_H

#include "freshet/encoder.h"
#include "service/config.h"

/* Prints a table of the generations: vectors, coverage of the listed items with a text, which one serves and
 * which one the configured encoder (borrowed, NULL: none) fills. */
freshet_status freshet_embed_print_status(const freshet_config* config, const freshet_encoder* encoder,
                                          freshet_error* error);

/* Withdraws all vectors of the generation of this name, by tombstones that every worker follows. Refused for
 * the one that serves and for the configured one, which the job would fill again. Errors: FRESHET_CONFLICT,
 * FRESHET_NOT_FOUND, and those of the log and the sink. */
freshet_status freshet_embed_drop(const freshet_config* config, const freshet_encoder* encoder,
                                  const char* name, freshet_error* error);

#endif
