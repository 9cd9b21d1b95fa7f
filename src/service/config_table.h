/*
 * config_table.h: the one table of every key, the questions about a single key, and what a configuration
 * keeps beside its fields. Private to the service.
 */
#ifndef FRESHET_SERVICE_CONFIG_TABLE_H
#define FRESHET_SERVICE_CONFIG_TABLE_H

#include "service/config.h"

/* A topic name that begins with this gets the app's id in its place, generation included ... */
#define FRESHET_CONFIG_APP "<app>"
/* ... or the id alone, which all generations have in common. */
#define FRESHET_CONFIG_BASE "<base>"

typedef enum freshet_config_type {
  FRESHET_CONFIG_TEXT = 0, /* const char* */
  FRESHET_CONFIG_NAME,     /* const char*: letters, digits, '.', '_', '-' */
  FRESHET_CONFIG_TOPIC,    /* the same; may begin with FRESHET_CONFIG_APP or _BASE */
  FRESHET_CONFIG_INTEGER,  /* int64_t */
  FRESHET_CONFIG_DECIMAL,  /* double */
  FRESHET_CONFIG_SWITCH,   /* bool: on or off */
  FRESHET_CONFIG_CHOICE,   /* int: the place of the word in `choices` */
} freshet_config_type;

typedef struct freshet_config_key {
  const char* section;
  const char* name;
  freshet_config_type type;
  size_t offset;        /* of its field in freshet_config */
  const char* fallback; /* the default */
  double min, max;      /* numbers only, inclusive */
  const char* choices;  /* choices only: "fast|committed" */
  const char* doc;      /* one line */
} freshet_config_key;

extern const freshet_config_key freshet_config_keys[]; /* [freshet_config_key_count] */
extern const int freshet_config_key_count;

/* In the order in which sources are read; later ones override. */
typedef enum freshet_config_origin {
  FRESHET_ORIGIN_DEFAULT = 0,
  FRESHET_ORIGIN_FILE,
  FRESHET_ORIGIN_ENVIRONMENT,
  FRESHET_ORIGIN_COMMAND_LINE
} freshet_config_origin;

typedef struct freshet_config_value {
  char* text;
  char* where; /* for people: "freshet.conf:12" */
  freshet_config_origin from;
} freshet_config_value;

typedef struct freshet_config_list {
  freshet_property* properties; /* [count] */
  size_t count;
} freshet_config_list;

struct freshet_config_private {
  freshet_config_value* values; /* [freshet_config_key_count] */
  freshet_config_list kafka;
  freshet_config_list rules; /* those with names of one's own */
  char* made[3];             /* texts that no source gave: of a later generation */
};

/* What the name of a topic begins with; *rest: what follows it. */
typedef enum freshet_config_app {
  FRESHET_CONFIG_THE_APP = 0,
  FRESHET_CONFIG_THE_BASE,
  FRESHET_CONFIG_NO_APP
} freshet_config_app;
freshet_config_app freshet_config_app_of(const char* topic, const char** rest);

/* The place of "section.key" in the table, or -1. */
int freshet_config_key_find(const char* full);
/* The same for the rest of an environment variable after FRESHET_, such as "STATE_FOLDER". */
int freshet_config_key_find_variable(const char* rest);
/* The section that a variable's rest begins with, NULL when none: "KAFKA_ACKS" -> "kafka". */
const char* freshet_config_section_of_variable(const char* rest);
/* The setting that a variable's rest was probably meant for, as the rest of its variable: at most two letters differ, or
 * capitals. NULL: none. Static; overwritten by the next call. */
const char* freshet_config_variable_meant(const char* rest);
/* Kubernetes gives each container such variables of each service: FRESHET_HTTP_SERVICE_HOST of the service freshet-http.
 * value: the text after the equals sign. */
bool freshet_config_variable_is_foreign(const char* rest, const char* value);
/* The known "section.key" with the least edit distance. Static; overwritten by the next call. */
const char* freshet_config_key_closest(const char* full);
/* Checks text and stores it in its field; texts are stored as the pointer that is given. On false *message
 * says why. */
bool freshet_config_key_parse(const freshet_config_key* key, const char* text, freshet_config* config,
                              char* message, size_t message_size);

#endif
