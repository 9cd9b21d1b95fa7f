/*
 * text.h: freshet_text_create with a choice of kernels, for benchmarks and tests. The public function chooses
 * the fastest kernels, and embedders need not know that there are several. Private to this project.
 */
#ifndef FRESHET_TEXT_TEXT_H
#define FRESHET_TEXT_TEXT_H

#include "freshet/encoder.h"
#include "text/kernels.h"

/* As freshet_text_create. kernels: of a BERT encoder; NULL for the fastest that this CPU runs. */
freshet_status freshet_text_create_with(const freshet_text_config* config, const freshet_kernels* kernels,
                                        freshet_encoder** encoder, freshet_error* error);

#endif
