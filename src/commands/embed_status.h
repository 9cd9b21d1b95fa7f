/*
 * embed_status.h: `freshet embed --status`: the encoder generations of an application, read from its topics,
 * whether a worker runs or not.
 */
#ifndef FRESHET_COMMANDS_EMBED_STATUS_H
#define FRESHET_COMMANDS_EMBED_STATUS_H

#include "freshet/encoder.h"
#include "service/config.h"

/* Prints a table of the text generations: vectors, coverage of the listed items with a text, which one is
 * used, and which one the configured encoder (borrowed, NULL: none) fills. */
freshet_status freshet_embed_print_status(const freshet_config* config, const freshet_encoder* encoder,
                                          freshet_error* error);

/* Withdraws all vectors of the text generation of this name, by tombstones that every worker follows. It is
 * refused for the one that is used, and for the configured one, because the job would fill it again. Errors:
 * FRESHET_CONFLICT, FRESHET_NOT_FOUND, and those of the reader and the sink. */
freshet_status freshet_embed_drop(const freshet_config* config, const freshet_encoder* encoder,
                                  const char* name, freshet_error* error);

#endif
