/*
 * api_answers.c: answers of the worker as HTTP responses: JSON, or a refusal with its reason. It owns the words for
 * reasons. It must not know how requests are read, nor how lists are made.
 */
#include <stdarg.h>
#include <stdio.h>

#include "service/api_internal.h"
#include "service/json_writer.h"

enum { CONTEXT_SHOWN = 60, WHAT_SIZE = 64, BODY_SIZE = 8192 /* of a usual list */ };

/* By freshet_reason_kind: the symbol of schemas/RecommendationList.avsc, and the words for people: for a reason that raises the
 * item, and for one that lowers it. */
static const struct {
  const char *symbol, *words, *words_against;
} reasons[] = {
    [FRESHET_REASON_TASTE] = {"TASTE", "suits your taste", "suits your taste less"},
    [FRESHET_REASON_FOLLOWS] = {"FOLLOWS", "often chosen after ", "seldom chosen after "},
    [FRESHET_REASON_TOGETHER] = {"TOGETHER", "often chosen together with ", "seldom chosen together with "},
    [FRESHET_REASON_TEXT] = {"TEXT", "is like ", "is unlike "},
    [FRESHET_REASON_POPULAR] = {"POPULAR", "popular now", "less popular now"},
    [FRESHET_REASON_QUALITY] = {"QUALITY", "liked in general", "less liked in general"},
    [FRESHET_REASON_OTHER] = {"OTHER", "for another reason", "for another reason"},
    [FRESHET_REASON_RULE] = {"RULE", "by a rule of the shop", "by a rule of the shop"},
    [FRESHET_REASON_CONTEXT] = {"CONTEXT", "matches ", "does not match "},
    [FRESHET_REASON_AUDIENCE] = {"AUDIENCE", "for those who like ", "not for those who like "},
    [FRESHET_REASON_NEW] = {"NEW", "new on offer", "new on offer"},
    [FRESHET_REASON_AGAIN] = {"AGAIN", "you chose this before", "you chose this lately"},
    [FRESHET_REASON_SHOWN] = {"SHOWN", "you were shown this and did not choose it",
                              "you were shown this and did not choose it"},
};
enum { REASONS = sizeof reasons / sizeof reasons[0] };

static void append(freshet_buffer* out, freshet_slice text) {
  freshet_buffer_append(out, text.data, text.size);
}

/* A prefix that ends between two code points. */
static freshet_slice shorten(freshet_slice text, size_t size) {
  if (text.size <= size) return text;
  while (size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80) size--;
  return (freshet_slice){text.data, size};
}

/* "you choose this about every 9 days" */
static void add_every(freshet_json* json, int64_t every_s) {
  static const struct {
    int64_t seconds;
    const char* name;
  } units[] = {{24 * 3600, "day"}, {3600, "hour"}, {60, "minute"}};
  enum { UNITS = sizeof units / sizeof units[0] };
  size_t u = 0;
  char text[64];
  while (u + 1 < UNITS && every_s < units[u].seconds) u++;
  const int64_t count = (every_s + units[u].seconds / 2) / units[u].seconds;
  if (count <= 1) {
    snprintf(text, sizeof text, "you choose this about every %s", units[u].name);
  } else {
    snprintf(text, sizeof text, "you choose this about every %lld %ss", (long long)count, units[u].name);
  }
  freshet_json_add_text(json, freshet_slice_of(text));
}

/* The words of a reason, without the title of an item. */
static void add_words(freshet_json* json, const freshet_reason* reason, size_t kind) {
  const bool is_against = reason->score < 0;
  if (kind == FRESHET_REASON_AGAIN && !is_against && reason->every_s > 0) {
    add_every(json, reason->every_s);
  } else {
    freshet_json_add_text(json,
                          freshet_slice_of(is_against ? reasons[kind].words_against : reasons[kind].words));
  }
}

static void write_reason(freshet_api_part* p, freshet_json* json, const freshet_reason* reason) {
  const freshet_slice quote = {"'", 1};
  freshet_slice quoted = {NULL, 0};
  size_t kind = (size_t)reason->kind < REASONS ? (size_t)reason->kind : FRESHET_REASON_OTHER;
  if (kind == FRESHET_REASON_CONTEXT) quoted = shorten(p->context, CONTEXT_SHOWN);
  if (reason->item_id.size > 0) {
    quoted = freshet_api_title(p->call->api, reason->item_id);
    if (quoted.size == 0) quoted = reason->item_id;
  }
  freshet_json_open(json, NULL, '{');
  freshet_json_text(json, "kind", freshet_slice_of(reasons[kind].symbol));
  if (reason->item_id.size > 0) freshet_json_text(json, "item_id", reason->item_id);
  freshet_json_number(json, "score", reason->score);
  freshet_json_open_text(json, "text");
  add_words(json, reason, kind);
  if (quoted.size > 0) {
    freshet_json_add_text(json, quote);
    freshet_json_add_text(json, quoted);
    freshet_json_add_text(json, quote);
  }
  freshet_json_close_text(json);
  freshet_json_close(json, '}');
}

static void write_item(freshet_api_part* p, freshet_json* json, const freshet_recommendation* item) {
  freshet_json_open(json, NULL, '{');
  freshet_json_text(json, "item_id", item->item_id);
  freshet_json_text(json, "title", freshet_api_title(p->call->api, item->item_id));
  freshet_json_number(json, "score", item->score);
  if (item->propensity < 1) freshet_json_number(json, "propensity", item->propensity);
  if (item->reason_count > 0) {
    freshet_json_open(json, "reasons", '[');
    for (size_t i = 0; i < item->reason_count; i++) write_reason(p, json, &item->reasons[i]);
    freshet_json_close(json, ']');
  }
  freshet_json_close(json, '}');
}

static void write_list(freshet_api_part* p, freshet_json* json, const char* key) {
  const freshet_list* list = &p->answer->list;
  freshet_json_open(json, key, '{');
  if (list->user_id.size > 0) freshet_json_text(json, "user_id", list->user_id);
  if (list->request_id.size > 0) freshet_json_text(json, "request_id", list->request_id);
  freshet_json_integer(json, "version_partition", list->version_partition);
  freshet_json_integer(json, "version_offset", list->version_offset);
  freshet_json_time(json, "generated_at", list->generated_at_ms);
  if (list->note.size > 0) freshet_json_text(json, "note", list->note);
  freshet_json_open(json, "items", '[');
  for (size_t i = 0; i < list->item_count; i++) write_item(p, json, &list->items[i]);
  freshet_json_close(json, ']');
  freshet_json_close(json, '}');
}

static void write_user(freshet_api_part* p, freshet_json* json) {
  const freshet_known_user* user = &p->answer->user;
  freshet_json_open(json, NULL, '{');
  freshet_json_text(json, "user_id", p->user_id);
  freshet_json_integer(json, "partition", p->answer->partition);
  freshet_json_integer(json, "events", user->events);
  freshet_json_integer(json, "positives", user->positives);
  freshet_json_integer(json, "seen", user->seen);
  freshet_json_integer(json, "newest_offset", user->newest_offset);
  freshet_json_time(json, "newest_at", user->newest_time_ms);
  freshet_json_integer(json, "listed_offset", user->listed_offset);
  freshet_json_open(json, "recent", '[');
  for (size_t i = 0; i < user->recent_count; i++) {
    const freshet_known_interaction* recent = &user->recent[i];
    freshet_json_open(json, NULL, '{');
    freshet_json_text(json, "item_id", recent->item_id);
    freshet_json_text(json, "title", freshet_api_title(p->call->api, recent->item_id));
    freshet_json_number(json, "weight", recent->weight);
    freshet_json_time(json, "at", recent->time_ms);
    freshet_json_close(json, '}');
  }
  freshet_json_close(json, ']');
  freshet_json_close(json, '}');
}

static void write_erased(freshet_api_part* p, freshet_json* json) {
  freshet_json_open(json, NULL, '{');
  freshet_json_text(json, "user_id", p->user_id);
  freshet_json_bool(json, "erased", true);
  freshet_json_close(json, '}');
}

/* By freshet_listing_state. */
static const char* const states[] = {
    [FRESHET_ITEM_LISTED] = "listed",
    [FRESHET_ITEM_UNAVAILABLE] = "unavailable",
    [FRESHET_ITEM_EXPIRED] = "expired",
    [FRESHET_ITEM_TOO_OLD] = "too_old",
    [FRESHET_ITEM_NOT_ANNOUNCED] = "not_announced",
};

/* What the item's record says. */
static void write_record(freshet_json* json, const freshet_item* item) {
  freshet_json_text(json, "item_id", item->item_id);
  freshet_json_text(json, "title", item->title);
  freshet_json_open(json, "categories", '[');
  for (size_t i = 0; i < item->category_count; i++) freshet_json_text(json, NULL, item->categories[i]);
  freshet_json_close(json, ']');
  freshet_json_open(json, "attributes", '[');
  for (size_t i = 0; i < item->attribute_count; i++) {
    freshet_json_open(json, NULL, '{');
    freshet_json_text(json, "name", item->attributes[i].name);
    freshet_json_text(json, "value", item->attributes[i].value);
    freshet_json_close(json, '}');
  }
  freshet_json_close(json, ']');
  if (item->created_at_ms > 0) freshet_json_time(json, "created_at", item->created_at_ms);
  if (item->expires_at_ms > 0) freshet_json_time(json, "expires_at", item->expires_at_ms);
}

static void write_known_item(freshet_api_part* p, freshet_json* json) {
  static const char* const speeds[FRESHET_POPULARITIES] = {"of_300_events", "of_3000_events",
                                                           "of_30000_events"};
  const freshet_known_item* known = &p->answer->item;
  freshet_json_open(json, NULL, '{');
  write_record(json, &known->record);
  freshet_json_text(json, "state", freshet_slice_of(states[known->state]));
  if (known->state != FRESHET_ITEM_LISTED) freshet_json_time(json, "not_listed_since", known->gone_ms);
  freshet_json_number(json, "chosen", known->chosen);
  freshet_json_open(json, "popularity", '{');
  for (int h = 0; h < FRESHET_POPULARITIES; h++)
    freshet_json_number(json, speeds[h], (double)known->popularity[h]);
  freshet_json_close(json, '}');
  freshet_json_integer(json, "text_bytes", (int64_t)known->text_size);
  freshet_json_bool(json, "has_text_vector", known->has_vector);
  freshet_json_close(json, '}');
}

/* ---- refusals ---- */

enum { MESSAGE_SIZE = FRESHET_ERROR_MESSAGE_SIZE + FRESHET_API_URL_SIZE };

typedef struct refusal {
  int status; /* 200: it is none */
  char message[MESSAGE_SIZE];
  char location[FRESHET_API_URL_SIZE]; /* of the instance to ask; "": none */
} refusal;

static void __attribute__((format(printf, 3, 4))) say(refusal* why, int status, const char* format, ...) {
  va_list arguments;
  why->status = status;
  va_start(arguments, format);
  vsnprintf(why->message, sizeof why->message, format, arguments);
  va_end(arguments);
}

static void send_elsewhere(const freshet_api_part* p, refusal* why) {
  freshet_api_owner(p->call->api, p->answer->partition, why->location);
  if (why->location[0] != '\0') {
    say(why, 307, "another instance %s this user: %s", p->answer->partition >= 0 ? "holds" : "may know",
        why->location);
    return;
  }
  char what[WHAT_SIZE] = "may know this user";
  if (p->answer->partition >= 0)
    snprintf(what, sizeof what, "holds partition %d of this user", (int)p->answer->partition);
  say(why, 503,
      "another instance %s; it is not known where to reach it (just now, or because its http.advertise is "
      "not "
      "set)",
      what);
}

static void find_refusal(const freshet_api_part* p, refusal* why) {
  *why = (refusal){.status = 200};
  if (p->answer == NULL) {
    say(why, 503, "too many requests wait, or the service is starting; see /readyz");
    return;
  }
  switch (p->answer->status) {
    case FRESHET_ANSWER_OK:
      break;
    case FRESHET_ANSWER_ELSEWHERE:
      send_elsewhere(p, why);
      break;
    case FRESHET_ANSWER_NOT_FOUND:
      say(why, 404, "%s", p->answer->message);
      break;
    case FRESHET_ANSWER_INVALID:
      say(why, 400, "%s", p->answer->message);
      break;
    case FRESHET_ANSWER_UNAVAILABLE:
      say(why, 503, "%s", p->answer->message);
      break;
  }
}

/* ---- responses ---- */

static void write_weights(const freshet_api_part* p, freshet_json* json) {
  freshet_json_open(json, NULL, '{');
  freshet_json_open(json, "weights", '[');
  for (size_t i = 0; i < p->answer->weight_count; i++) {
    const freshet_weight* weight = &p->answer->weights[i];
    freshet_json_open(json, NULL, '{');
    freshet_json_text(json, "part", freshet_slice_of(weight->part));
    freshet_json_text(json, "of", freshet_slice_of(weight->of));
    freshet_json_number(json, "weight", weight->weight);
    freshet_json_close(json, '}');
  }
  freshet_json_close(json, ']');
  freshet_json_close(json, '}');
}

static void write_answer(freshet_api_part* p, freshet_json* json) {
  switch (p->kind) {
    case FRESHET_ASK_RECOMMEND:
      write_list(p, json, NULL);
      break;
    case FRESHET_ASK_USER:
      write_user(p, json);
      break;
    case FRESHET_ASK_ITEM:
      write_known_item(p, json);
      break;
    case FRESHET_ASK_WEIGHTS:
      write_weights(p, json);
      break;
    case FRESHET_ASK_ERASE:
      write_erased(p, json);
      break;
  }
}

/* The question goes round: this instance is the first. */
static void append_origin(const freshet_api_call* call, freshet_buffer* location) {
  append(location, freshet_slice_of(strchr(call->target, '?') == NULL ? "?" : "&"));
  append(location, freshet_slice_of(freshet_api_origin_name));
  append(location, freshet_slice_of("="));
  append(location, freshet_slice_of(freshet_api_own_url(call->api)));
}

static void write_one(freshet_api_part* p, freshet_http_response* response) {
  freshet_json json = {.out = &response->body};
  refusal why;
  find_refusal(p, &why);
  if (why.status == 200) {
    response->content_type = "application/json";
    freshet_buffer_reserve(&response->body, BODY_SIZE);
    write_answer(p, &json);
    freshet_buffer_append(&response->body, "\n", 1);
    return;
  }
  freshet_http_refuse(response, why.status, "%s", why.message);
  if (why.status == 503) response->retry_after_s = 1;
  if (why.status != 307) return;
  append(&response->location, freshet_slice_of(why.location));
  append(&response->location, freshet_slice_of(p->call->target));
  if (p->answer->partition < 0 && !p->call->has_origin) append_origin(p->call, &response->location);
}

static void write_batch(freshet_api_call* call, freshet_http_response* response) {
  freshet_json json = {.out = &response->body};
  response->content_type = "application/json";
  freshet_json_open(&json, NULL, '{');
  freshet_json_open(&json, "answers", '[');
  for (size_t i = 0; i < call->part_count; i++) {
    freshet_api_part* p = &call->parts[i];
    refusal why;
    find_refusal(p, &why);
    freshet_json_open(&json, NULL, '{');
    freshet_json_integer(&json, "status", why.status);
    if (why.status == 200) write_list(p, &json, "list");
    if (why.status != 200) freshet_json_text(&json, "detail", freshet_slice_of(why.message));
    if (why.location[0] != '\0') freshet_json_text(&json, "location", freshet_slice_of(why.location));
    freshet_json_close(&json, '}');
  }
  freshet_json_close(&json, ']');
  freshet_json_close(&json, '}');
  freshet_buffer_append(&response->body, "\n", 1);
}

void freshet_api_write(freshet_api_call* call, freshet_http_response* response) {
  freshet_api_set_time(call->api);
  if (call->is_batch) {
    write_batch(call, response);
  } else {
    write_one(&call->parts[0], response);
  }
}
