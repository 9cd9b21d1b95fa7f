/*
 * doctor_services.c: what else a run asks or offers: the text encoder, the schema registry, the HTTP port with its
 * tokens and its certificate.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/schemas.h"
#include "app/text_encoder.h"
#include "commands/doctor/doctor.h"
#include "service/http.h"

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static void tell_encoder(freshet_doctor* doctor) {
  freshet_encoder* encoder = NULL;
  freshet_error error = {0};
  const freshet_slice text = freshet_slice_of("a red mug for tea");
  freshet_status status = freshet_command_encoder_create(doctor->config, &encoder, &error);
  if (status == FRESHET_OK && encoder == NULL) {
    freshet_doctor_tell(doctor, FRESHET_FINDING_SKIPPED, "encoder", "text.encoder is none");
    return;
  }
  float* vector = status == FRESHET_OK ? calloc(encoder->dim, sizeof *vector) : NULL;
  double start = now_ms();
  if (status == FRESHET_OK) status = freshet_encode(encoder, &text, 1, vector, &error);
  if (status == FRESHET_OK) {
    freshet_doctor_tell(doctor, FRESHET_FINDING_OK, "encoder", "%s: %u dimensions, one text in %.1f ms",
                        encoder->name, encoder->dim, now_ms() - start);
  } else {
    freshet_doctor_tell(doctor, FRESHET_FINDING_FAULT, "encoder",
                        "%s; see text.encoder, text.model and text.url", error.message);
  }
  free(vector);
  freshet_encoder_destroy(encoder);
}

static void tell_registry(freshet_doctor* doctor) {
  const freshet_config* config = doctor->config;
  freshet_registry_config wanted;
  freshet_registry* registry = NULL;
  freshet_error error = {0};
  if (config->registry.url[0] == '\0') {
    freshet_doctor_tell(doctor, FRESHET_FINDING_SKIPPED, "registry", "registry.url is not set");
    return;
  }
  freshet_status status = freshet_registry_config_of(config, &wanted, &error);
  if (status == FRESHET_OK) status = freshet_registry_create(&wanted, &registry, &error);
  bool usable = status == FRESHET_OK;
  if (usable) status = freshet_registry_probe(registry, &error);
  if (status == FRESHET_OK) {
    freshet_doctor_tell(doctor, FRESHET_FINDING_OK, "registry", "%s", config->registry.url);
  } else {
    freshet_doctor_tell(doctor, usable ? FRESHET_FINDING_WARNING : FRESHET_FINDING_FAULT, "registry", "%s%s",
                        error.message, usable ? "; records of unknown schema ids will wait" : "");
  }
  freshet_registry_destroy(registry);
}

static void tell_http(freshet_doctor* doctor) {
  const freshet_config* config = doctor->config;
  freshet_http_counts counts;
  freshet_http* http = NULL;
  freshet_error error = {0};
  memset(&counts, 0, sizeof counts);
  if (config->http.port == 0) {
    freshet_doctor_tell(doctor, FRESHET_FINDING_SKIPPED, "http", "http.port is 0");
    return;
  }
  const freshet_http_config wanted = {.bind = config->http.bind,
                                      .port = (uint16_t)config->http.port,
                                      .token_file = config->http.token_file,
                                      .certificate = config->http.certificate,
                                      .key = config->http.key,
                                      .connections_max = 16,
                                      .timeout_ms = 1000,
                                      .counts = &counts};
  freshet_status status = freshet_http_create(&wanted, &http, &error);
  bool open_to_all = config->http.token_file[0] == '\0' && strncmp(config->http.bind, "127.", 4) != 0 &&
                     strcmp(config->http.bind, "::1") != 0;
  if (status != FRESHET_OK) {
    freshet_doctor_tell(
        doctor, status == FRESHET_UNAVAILABLE ? FRESHET_FINDING_WARNING : FRESHET_FINDING_FAULT, "http",
        "%s%s", error.message,
        status == FRESHET_UNAVAILABLE ? "; fine if this app runs here already, else set http.port" : "");
  } else if (open_to_all) {
    freshet_doctor_tell(
        doctor, FRESHET_FINDING_WARNING, "http",
        "%s port %d can be had, but everybody who reaches it may read and erase users: set http.token_file",
        config->http.bind, (int)config->http.port);
  } else {
    freshet_doctor_tell(doctor, FRESHET_FINDING_OK, "http", "%s port %d can be had%s", config->http.bind,
                        (int)config->http.port, config->http.certificate[0] == '\0' ? "" : ", with TLS");
  }
  freshet_http_destroy(http);
}

void freshet_doctor_services(freshet_doctor* doctor) {
  tell_encoder(doctor);
  tell_registry(doctor);
  tell_http(doctor);
}
