/*
 * api_internal.h: what the two files of the api share: api.c takes requests and asks, api_answers.c writes what came
 * back. It owns nothing. Seen by nobody else.
 */
#ifndef FRESHET_SERVICE_API_INTERNAL_H
#define FRESHET_SERVICE_API_INTERNAL_H

#include "service/api.h"

/* A question that the worker has or had, and what its answer needs. All texts lie in the arena of the call. */
typedef struct freshet_api_part {
  struct freshet_api_call* call;
  freshet_question_kind kind;
  freshet_slice user_id, context;
  freshet_answer* answer; /* owned; NULL: there is none, since the inbox was full or shut */
} freshet_api_part;

/* An HTTP request that waits for answers. */
typedef struct freshet_api_call {
  freshet_api* api;
  freshet_http_ticket* ticket;
  freshet_arena arena;
  const char* target; /* as the client wrote it */
  bool has_origin;    /* the target names the instance that was asked first, see freshet_api_origin_name */
  bool is_batch;
  freshet_api_part* parts; /* [part_count] */
  size_t part_count;
  _Atomic size_t waiting; /* parts without an answer */
} freshet_api_call;

/* The parameter by which a question goes round when no partitioner tells where its user lives: the URL of the instance
 * that was asked first. Always the last one of a query. */
extern const char freshet_api_origin_name[];

/* The response to a call all of whose parts are answered. On the thread of HTTP. */
void freshet_api_write(freshet_api_call* call, freshet_http_response* response);

/* Titles are as of now until the next call: a list has dozens of them. On the thread of HTTP. */
void freshet_api_set_time(freshet_api* api);
/* Empty when there is none. Holds until the next call. On the thread of HTTP. */
freshet_slice freshet_api_title(freshet_api* api, freshet_slice item_id);
enum { FRESHET_API_URL_SIZE = 1024 };
/* The URL of this instance; "": it has none. */
const char* freshet_api_own_url(const freshet_api* api);
/* The URL of the instance that holds a partition of `events`, or with -1 of the one to ask after this one; "": it is not
 * known, or it is this one. */
void freshet_api_owner(freshet_api* api, int32_t partition, char url[FRESHET_API_URL_SIZE]);

#endif
