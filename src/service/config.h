/*
 * config.h: the settings of the service, typed, each with the place it came from.
 *
 * One table in config.c describes every key: section, name, type, default, bounds, documentation and the
 * field below that it fills. Later sources override earlier ones: defaults, INI file, environment, command
 * line. Unknown keys and bad values are errors that name where they stand and the closest known key.
 *
 * Ownership: a freshet_config owns all its strings; they live until freshet_config_destroy. Read-only after
 * loading, so any thread may read it.
 */
#ifndef FRESHET_SERVICE_CONFIG_H
#define FRESHET_SERVICE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/rules.h"
#include "freshet/status.h"
#include "stream/source.h"

typedef enum freshet_encoder_choice {
  FRESHET_ENCODER_AUTO = 0, /* bert when text.model holds one, else hashing */
  FRESHET_ENCODER_BERT,
  FRESHET_ENCODER_WORDS,
  FRESHET_ENCODER_HASHING,
  FRESHET_ENCODER_HTTP,
  FRESHET_ENCODER_NONE
} freshet_encoder_choice;
typedef enum freshet_precision_choice {
  FRESHET_PRECISION_FP32 = 0,
  FRESHET_PRECISION_INT8
} freshet_precision_choice;
typedef enum freshet_log_format { FRESHET_LOG_KV = 0, FRESHET_LOG_JSON } freshet_log_format;

/* A setting of librdkafka, as written. */
typedef struct freshet_property {
  char* name;
  char* value;
  char* where; /* "freshet.conf:12", "FRESHET_KAFKA_LINGER_MS", "command line" */
} freshet_property;

typedef struct freshet_config {
  struct {
    const char* id;          /* with the generation, if there is one: "shop.g2" */
    const char* base;        /* without: "shop" */
    const char* generation;  /* "g2"; "": the first one */
    const char* instance_id; /* "": the state folder's; "-": dynamic membership */
    int64_t stop_timeout_s;
    int on_stop;  /* 0: the place in the group is kept; 1: the process leaves it */
    int delivery; /* freshet_delivery of worker/worker.h */
  } app;
  struct {
    const freshet_property* properties; /* [count] in the order given */
    size_t count;
  } kafka;
  struct {
    const char* names[FRESHET_TOPICS]; /* by freshet_topic; `<app>` is already replaced */
    int64_t partitions;
    int64_t replication;
  } topics;
  struct {
    int partitioner; /* freshet_partitioner of stream/partitioner.h */
  } events;
  struct {
    const char* folder;    /* "": the schemas that are compiled in */
    const char* ids;       /* static id map, "12=Click,13=Rating"; "": none */
    const char* url;       /* URLs of a schema registry; "": none */
    const char* user_env;  /* environment variable with "name:password"; "": none */
    const char* token_env; /* environment variable with a bearer token; "": none */
    const char* ca;        /* PEM file; "": the system's authorities */
    int64_t timeout_ms;
    int framing;  /* freshet_framing of codec/codec.h, of what we write */
    int subjects; /* freshet_subject_strategy of app/subjects.h */
  } registry;
  struct {
    int64_t dim, neighbours, negatives, max_items, seen_limit, seed;
    bool learning;
    double positive_rating, rating_min, rating_max;
    double weight_click, weight_rating, weight_purchase;
    int goal; /* freshet_goal of core/observe.h */
    int64_t future_tolerance_s;
  } model;
  struct {
    int encoder; /* freshet_encoder_choice */
    const char* model;
    int64_t dim;
    int precision; /* freshet_precision_choice */
    int64_t threads, interval_s, batch;
    const char* url;
    const char* key_env;
    int64_t timeout_ms, cache_mb;
    double lexical_weight;
    double cutover_coverage;
    int users; /* freshet_user_text_use of freshet/model.h */
  } text;
  struct {
    int64_t threads; /* 0: by the cores */
  } worker;
  struct {
    int64_t k, max_delay_ms, threads, batch;
    bool explain;
    double diversity;
  } ranking;
  struct {
    double context_weight;
    int64_t max_age_ms;
    const char* reply_topics; /* prefixes of topics that requests may name; "": none */
  } requests;
  struct {
    int hide; /* freshet_hide */
    bool exclude_own;
    int64_t hide_click_s, hide_rating_s, hide_purchase_s;
    int64_t max_per_category, max_age_s, new_age_s;
    double new_share;
    const freshet_property* named; /* [named_count] boost.*, bury.*, pin.*, in the order given */
    size_t named_count;
    freshet_rules compiled; /* all of it */
  } rules;
  struct {
    const char* folder;
    int64_t commit_interval_ms, committed_interval_ms;
    int64_t overlay_users, user_cache, standby;
    int64_t block_cache_mb, memtable_mb;
    int64_t dedup_events, dedup_window_s;
    int64_t items_interval_s, checkpoint_interval_s;
  } state;
  struct {
    int64_t rate;
    bool yield;
  } backfill;
  struct {
    const char* bind;
    int64_t port;
    const char* token_file;  /* "": no token asked for */
    const char* hosts;       /* names for us beside IP addresses and localhost */
    const char* certificate; /* "": plain HTTP */
    const char* key;
    const char* advertise; /* "": see api.h */
    int64_t connections, timeout_ms, requests_per_s;
  } http;
  struct {
    int level;  /* freshet_log_level */
    int format; /* freshet_log_format */
  } log;
  struct freshet_config_private* own; /* the texts behind the fields and where each came from */
} freshet_config;

typedef struct freshet_config_inputs {
  const char* file;             /* path of the INI file; NULL: none */
  const char* const* overrides; /* [override_count] "section.key=value" */
  size_t override_count;
  char* const* environment; /* NULL-terminated "NAME=value", as `environ`; NULL: none */
} freshet_config_inputs;

/* Reads, checks and joins everything. Errors: FRESHET_INVALID with the place and the closest known key,
 * FRESHET_NOT_FOUND or FRESHET_IO for the file; verdict FRESHET_STOP. */
freshet_status freshet_config_load(const freshet_config_inputs* inputs, freshet_config** config,
                                   freshet_error* error);
/* NULL is allowed. */
void freshet_config_destroy(freshet_config* config);

/* The value of a librdkafka property, or NULL when it is not set. */
const char* freshet_config_kafka(const freshet_config* config, const char* name);

/* Prints the effective values as an INI file, each with its origin as a comment; secrets are masked. */
void freshet_config_print(const freshet_config* config, FILE* out);
/* Prints a template: every key with documentation and default, commented out. */
void freshet_config_print_defaults(FILE* out);
/* Prints the reference table of README. */
void freshet_config_print_table(FILE* out);

#endif
