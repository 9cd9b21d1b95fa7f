/*
 * input_avro_node.h: the tree of an Avro schema, shared by the file that builds it and the file that walks values with
 * it. Nobody else includes it.
 */
#ifndef FRESHET_COMMANDS_INPUT_AVRO_NODE_H
#define FRESHET_COMMANDS_INPUT_AVRO_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRESHET_LAKE_DEPTH_MAX = 64 };

typedef enum kind {
  NUL,
  BOOLEAN,
  INT,
  LONG,
  FLOAT,
  DOUBLE,
  BYTES,
  STRING,
  RECORD,
  ENUM,
  ARRAY,
  MAP,
  UNION,
  FIXED
} kind;
typedef enum logical { NONE, DATE, MILLIS, MICROS, NANOS, DECIMAL, VECTOR } logical;

/* A list of nodes without an end of its own: children are owned by the schema, not by their parent. */
typedef struct node {
  kind kind;
  logical logical;
  char* name;   /* of a record, enum or fixed, with its namespace */
  int64_t size; /* of a fixed; scale of a decimal */
  int64_t scale;
  size_t count;           /* of fields, branches, symbols; 1 for arrays and maps */
  struct node** children; /* [count], not of enums */
  char** names;           /* [count] of fields or symbols */
} node;

struct freshet_lake_schema {
  node** nodes; /* [node_count] all, to be freed */
  size_t node_count;
  node* root;
  bool raw_times;
};

#endif
