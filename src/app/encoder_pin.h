/*
 * encoder_pin.h: `text.encoder = auto` chooses once. What it chose is kept beside the state, so that a model that appears
 * in a cache, or is gone from it, does not start a migration of all vectors by itself.
 */
#ifndef FRESHET_APP_ENCODER_PIN_H
#define FRESHET_APP_ENCODER_PIN_H

#include "freshet/encoder.h"
#include "service/config.h"
#include "stream/logger.h"

/* As freshet_command_encoder_create. With `auto` it makes the kind of encoder that is kept in the state folder, warns when
 * `auto` would choose another one now, and keeps the choice if none is kept. An explicit setting is kept in its place.
 * Errors: as freshet_text_create; the message says how to leave a kept encoder that cannot be made any more. */
freshet_status freshet_encoder_pinned_create(const freshet_config* config, const freshet_logger* logger,
                                             freshet_encoder** encoder, freshet_error* error);

/* Lets `auto` choose again: keeps the kind that it chooses now. *before and *after are the kinds, static; "" is none.
 * The next start with `auto` begins to make all vectors again when they differ. Errors: FRESHET_INVALID when the setting
 * is not `auto`; as freshet_text_create; FRESHET_IO when the choice cannot be kept. */
freshet_status freshet_encoder_pin_switch(const freshet_config* config, const char** before,
                                          const char** after, freshet_error* error);

#endif
