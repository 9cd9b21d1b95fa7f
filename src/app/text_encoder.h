/*
 * text_encoder.h: from the [text] section of the configuration to an encoder. The one place where names of
 * settings meet names of the text library, so that neither has to know the other.
 */
#ifndef FRESHET_APP_TEXT_ENCODER_H
#define FRESHET_APP_TEXT_ENCODER_H

#include "freshet/encoder.h"
#include "service/config.h"

/* *encoder becomes NULL for `encoder = none`. Errors: as freshet_text_create. */
freshet_status freshet_command_encoder_create(const freshet_config* config, freshet_encoder** encoder,
                                              freshet_error* error);

#endif
