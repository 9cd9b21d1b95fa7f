/*
 * budget.h: how much memory a configuration allows, part by part. The figures are upper bounds that follow
 * from settings alone. What a process really uses is a metric, not a matter of this file.
 */
#ifndef FRESHET_APP_BUDGET_H
#define FRESHET_APP_BUDGET_H

#include "service/config.h"

/* Upper bounds in bytes, with every list of a user or an item at its configured bound. */
typedef struct freshet_budget {
  double bytes_per_user; /* in memory, with model.seen_limit seen items */
  double users;          /* as many as may be in memory at once */
  double bytes_per_item; /* model and ranker */
  double items;          /* model.max_items of them */
  double deltas;         /* what has been learned of items and is not committed */
  double dedup;          /* of topics.partitions partitions */
  double rocksdb;
  double kafka;  /* librdkafka's queues */
  double facets; /* categories and attributes, as many as an item may have, of model.max_items items */
  double http;   /* headers and a body of http.connections requests */
  double
      text; /* cache of vectors, words of the catalogue; the weights of a model are mapped from its file and not counted */
  double total;
  /* a usual load: without queues, FRESHET_BUDGET_ITEMS items and FRESHET_BUDGET_USERS users, each with
   * FRESHET_BUDGET_SEEN seen items */
  double usual;
} freshet_budget;

enum { FRESHET_BUDGET_ITEMS = 10000, FRESHET_BUDGET_USERS = 50000, FRESHET_BUDGET_SEEN = 50 };

/* text_dim: dimensions of the text vectors, 0: none. */
freshet_budget freshet_budget_of(const freshet_config* config, uint32_t text_dim);

/* The same with the text vectors that the configuration asks for. */
freshet_budget freshet_budget_of_settings(const freshet_config* config);

/* Prints it as comment lines of an INI file. */
void freshet_budget_print(const freshet_config* config, FILE* out);

#endif
