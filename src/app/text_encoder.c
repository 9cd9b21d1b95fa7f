/*
 * text_encoder.c: translates the [text] section of a configuration into freshet_text_config and makes the
 * encoder. It owns nothing: the caller destroys the encoder. What the encoders do is the matter of src/text.
 */
#include "app/text_encoder.h"

#include "freshet/encoder.h"

freshet_status freshet_command_encoder_create(const freshet_config* config, freshet_encoder** encoder,
                                              freshet_error* error) {
  static const freshet_text_encoder encoders[] = {
      [FRESHET_ENCODER_AUTO] = FRESHET_TEXT_AUTO,   [FRESHET_ENCODER_BERT] = FRESHET_TEXT_BERT,
      [FRESHET_ENCODER_WORDS] = FRESHET_TEXT_WORDS, [FRESHET_ENCODER_HASHING] = FRESHET_TEXT_HASHING,
      [FRESHET_ENCODER_HTTP] = FRESHET_TEXT_HTTP,   [FRESHET_ENCODER_NONE] = FRESHET_TEXT_NONE,
  };
  freshet_text_config text = freshet_text_defaults();
  text.encoder = encoders[config->text.encoder];
  text.model = config->text.model;
  text.dim = (uint32_t)config->text.dim;
  text.precision = config->text.precision == FRESHET_PRECISION_FP32 ? FRESHET_TEXT_FP32 : FRESHET_TEXT_INT8;
  text.threads = (uint32_t)config->text.threads;
  text.url = config->text.url;
  text.key_env = config->text.key_env;
  text.timeout_ms = (uint32_t)config->text.timeout_ms;
  text.lexical_weight = (float)config->text.lexical_weight;
  return freshet_text_create(&text, encoder, error);
}
