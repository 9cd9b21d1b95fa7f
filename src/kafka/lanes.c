/*
 * lanes.c: see lanes.h. One lock guards all lanes: it is held for the hand-over of one record, or of one batch of each
 * lane that is free.
 */
#include "kafka/lanes.h"

#include <stdlib.h>
#include <string.h>

#include "stream/partitioner.h"

enum {
  ON_THE_WAY = 5, /* of a lane: librdkafka's RD_KAFKA_IDEMP_MAX_INFLIGHT, which it compares with messages */
  GATHERED_BYTES = 8 << 20, /* of all lanes: they leave without being released */
  SERVE_MS = 2,
  TURN_MS =
      2, /* so long is gathered, if more records come: what a long turn makes does not wait for its end */
  FRAME_BYTES = 64,  /* of a batch: lengths and numbers of a record */
  SEAL_BYTES = 32,   /* the header of a record of state, without the name of the app */
  HEADER_BYTES = 10, /* lengths of a header */
};

typedef struct waiting {
  struct waiting* next;
  freshet_output output; /* points into this block */
  int mark;
  size_t size;  /* of the block */
  size_t sends; /* bytes of a batch, at most */
} waiting;

typedef struct lane lane;

/* What a delivery report brings back. */
typedef struct parcel {
  lane* lane;
  int mark;
} parcel;

struct lane {
  freshet_topic place;
  rd_kafka_topic_t* topic;
  int32_t partition;
  size_t on_the_way;                   /* with the producer, not acknowledged */
  bool is_known;                       /* to the broker: it has acknowledged a record */
  bool is_gathering;                   /* what waits is not released yet */
  bool is_open;                        /* something has left since freshet_lanes_begin */
  size_t count;                        /* of what waits */
  waiting *first, **end;               /* oldest first */
  parcel parcels[FRESHET_LANES_MARKS]; /* by mark */
};

struct freshet_lanes {
  freshet_kafka_client* producer;
  freshet_lanes_mode mode;
  freshet_lanes_refused refused;
  void* context;
  size_t batch_bytes, batch_records; /* of a request for a partition */
  size_t queue_bytes;                /* of the producer's queue */
  size_t seal_bytes;                 /* of a batch: a record's seal, at most */
  pthread_t thread;
  bool has_thread;
  pthread_mutex_t lock; /* guards the rest */
  pthread_cond_t changed;
  bool stopping;
  lane* lanes[FRESHET_TOPICS]; /* [counts[topic]] */
  int32_t counts[FRESHET_TOPICS];
  size_t count, bytes; /* of what waits */
  size_t released;     /* of these records */
  size_t on_the_way;   /* of all lanes */
  int64_t since_ms;    /* when the first one came that is not released, BY_TURN; 0: all are */
  bool has_free;       /* records wait in a lane that has nothing on its way */
};

/* ---- what waits ---- */

static char* copy_bytes(char** at, freshet_slice bytes) {
  char* start = *at;
  if (bytes.size > 0) memcpy(start, bytes.data, bytes.size);
  *at += bytes.size;
  return start;
}

/* One block: the record, its headers, their bytes. */
static waiting* copy_of(const freshet_lanes* lanes, const freshet_output* output, int mark) {
  size_t size = output->key.size + output->value.size, names = lanes->seal_bytes;
  for (size_t i = 0; i < output->header_count; i++) {
    size += output->headers[i].value.size;
    names += strlen(output->headers[i].name) + HEADER_BYTES;
  }
  const size_t sends = size + names + FRAME_BYTES;
  size += sizeof(waiting) + output->header_count * sizeof(freshet_header);
  waiting* copy = malloc(size);
  FRESHET_ASSERT(copy != NULL);
  *copy = (waiting){.output = *output, .mark = mark, .size = size, .sends = sends};
  freshet_header* headers = (freshet_header*)(copy + 1);
  char* at = (char*)(headers + output->header_count);
  if (output->key.data != NULL) copy->output.key.data = copy_bytes(&at, output->key);
  if (output->value.data != NULL) copy->output.value.data = copy_bytes(&at, output->value);
  for (size_t i = 0; i < output->header_count; i++) {
    headers[i] = output->headers[i]; /* names are static */
    headers[i].value.data = copy_bytes(&at, output->headers[i].value);
  }
  copy->output.headers = headers;
  return copy;
}

static void append(freshet_lanes* lanes, lane* l, waiting* w) {
  if (l->first == NULL) l->is_gathering = lanes->mode != FRESHET_LANES_AT_ONCE;
  *l->end = w;
  l->end = &w->next;
  l->count++;
  lanes->count++;
  lanes->bytes += w->size;
  if (l->is_gathering) return;
  lanes->released++;
  pthread_cond_signal(&lanes->changed);
}

static void drop_first(freshet_lanes* lanes, lane* l) {
  waiting* w = l->first;
  l->first = w->next;
  if (l->first == NULL) l->end = &l->first;
  l->count--;
  if (!l->is_gathering) lanes->released--;
  lanes->count--;
  lanes->bytes -= w->size;
  free(w);
}

/* ---- the hand-over ---- */

static rd_kafka_resp_err_t hand_over(freshet_lanes* lanes, lane* l, const freshet_output* output, int mark) {
  rd_kafka_resp_err_t code = freshet_kafka_enqueue(lanes->producer, l->topic, output, &l->parcels[mark]);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return code;
  l->on_the_way++;
  lanes->on_the_way++;
  l->is_open = true;
  return code;
}

static bool is_free(const lane* l) {
  return l->on_the_way == 0 && l->first != NULL && !l->is_gathering;
}

typedef void (*lane_visit)(freshet_lanes* lanes, lane* l, void* context);
static void each_lane(freshet_lanes* lanes, lane_visit visit, void* context) {
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    for (int32_t p = 0; p < lanes->counts[topic]; p++) visit(lanes, &lanes->lanes[topic][p], context);
  }
}

/* So many records of the lane may be on their way at a time. A broker that has never seen this producer would accept a second
 * request after it refused the first (freshet_kafka_delivered). */
static size_t most_on_the_way(const lane* l) {
  return l->is_known ? ON_THE_WAY : 1;
}

static void add_if_many(freshet_lanes* lanes, lane* l, void* list) {
  (void)lanes;
  if (is_free(l) && l->count > most_on_the_way(l))
    rd_kafka_topic_partition_list_add(list, rd_kafka_topic_name(l->topic), l->partition);
}

/* As much as one request takes. */
static void hand_over_batch(freshet_lanes* lanes, lane* l, void* context) {
  (void)context;
  size_t bytes = 0;
  if (!is_free(l)) return;
  while (l->first != NULL && l->on_the_way < lanes->batch_records) {
    const waiting* w = l->first;
    bytes += w->sends;
    if (l->on_the_way > 0 && bytes > lanes->batch_bytes) break;
    const rd_kafka_resp_err_t code = hand_over(lanes, l, &w->output, w->mark);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) break;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) lanes->refused(lanes->context, &w->output, w->mark, code);
    drop_first(lanes, l);
  }
  if (is_free(l)) lanes->has_free = true; /* the producer is full */
}

/* A batch of many records is handed over while librdkafka does not send: if its thread woke for the first one, the last
 * ones would wait for its acknowledgement, and that thread would ask without a pause. One pause for all lanes, as each waits
 * for another thread. It costs more than a request, so a few records go without one. True: librdkafka's thread, which has seen
 * the pause, is to be woken. */
static bool serve_free_lanes(freshet_lanes* lanes) {
  if (!lanes->has_free) return false;
  lanes->has_free = false;
  rd_kafka_t* handle = lanes->producer->handle;
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(0);
  each_lane(lanes, add_if_many, list);
  const bool are_many = list->cnt > 0;
  if (are_many) rd_kafka_pause_partitions(handle, list);
  each_lane(lanes, hand_over_batch, NULL);
  if (are_many) rd_kafka_resume_partitions(handle, list);
  rd_kafka_topic_partition_list_destroy(list);
  return are_many;
}

static void wake_producer(const freshet_lanes* lanes) {
  rd_kafka_flush(lanes->producer->handle, 0);
}

void freshet_lanes_turn(freshet_lanes* lanes) {
  if (lanes == NULL) return;
  pthread_mutex_lock(&lanes->lock);
  const bool has_paused = serve_free_lanes(lanes);
  pthread_mutex_unlock(&lanes->lock);
  if (has_paused) wake_producer(lanes);
}

static void release_lane(freshet_lanes* lanes, lane* l, void* context) {
  (void)context;
  if (l->is_gathering) lanes->released += l->count;
  l->is_gathering = false;
  if (is_free(l)) lanes->has_free = true;
}

typedef void visit_lane(freshet_lanes* lanes, lane* l, void* context);

/* release: release_lane, or a part of it. True: as serve_free_lanes. The thread serves what has to wait. */
static bool release_by(freshet_lanes* lanes, visit_lane* release) {
  if (lanes->count > lanes->released) each_lane(lanes, release, NULL);
  lanes->since_ms = 0;
  const bool has_paused = serve_free_lanes(lanes);
  if (lanes->released > 0) pthread_cond_signal(&lanes->changed);
  return has_paused;
}

static void let_leave(freshet_lanes* lanes, visit_lane* release) {
  if (lanes == NULL) return;
  pthread_mutex_lock(&lanes->lock);
  const bool has_paused = release_by(lanes, release);
  pthread_mutex_unlock(&lanes->lock);
  if (has_paused) wake_producer(lanes);
}

void freshet_lanes_release(freshet_lanes* lanes) {
  let_leave(lanes, release_lane);
}

static void close_lane(freshet_lanes* lanes, lane* l, void* context) {
  (void)lanes, (void)context;
  l->is_open = false;
}

void freshet_lanes_begin(freshet_lanes* lanes) {
  pthread_mutex_lock(&lanes->lock);
  each_lane(lanes, close_lane, NULL);
  pthread_mutex_unlock(&lanes->lock);
}

static void open_lane(freshet_lanes* lanes, lane* l, void* context) {
  const bool is_gathered_on = l->is_open && freshet_topic_is_for_readers(l->place);
  if (!is_gathered_on && l->is_gathering && l->first != NULL) release_lane(lanes, l, context);
}

void freshet_lanes_open(freshet_lanes* lanes) {
  let_leave(lanes, open_lane);
}

bool freshet_lanes_are_at_rest(freshet_lanes* lanes) {
  if (lanes == NULL) return true;
  pthread_mutex_lock(&lanes->lock);
  const bool are_at_rest = lanes->released == 0 && lanes->on_the_way == 0;
  pthread_mutex_unlock(&lanes->lock);
  return are_at_rest;
}

/* Does what is gathered leave before it is released? Many MB do, and what a long turn makes. */
static bool has_gathered_enough(freshet_lanes* lanes) {
  if (lanes->count == lanes->released) return false;
  if (lanes->bytes >= GATHERED_BYTES) return true;
  if (lanes->mode != FRESHET_LANES_BY_TURN) return false;
  const int64_t now_ms = freshet_monotonic_ms();
  if (lanes->since_ms == 0) lanes->since_ms = now_ms;
  return now_ms - lanes->since_ms >= TURN_MS;
}

static bool goes_at_once(const freshet_lanes* lanes, const lane* l) {
  return lanes->mode == FRESHET_LANES_AT_ONCE && l->first == NULL && l->on_the_way < most_on_the_way(l);
}

rd_kafka_resp_err_t freshet_lanes_publish(freshet_lanes* lanes, const freshet_output* output, int mark) {
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
  bool has_paused = false;
  FRESHET_ASSERT(lanes->counts[output->topic] > 0);
  if (output->key.size + output->value.size > lanes->queue_bytes)
    return RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; /* there will never be room for it */
  /* More partitions than there were at the start share lanes: still in order for each key. */
  int32_t count = lanes->counts[output->topic];
  int32_t place =
      output->partition < 0 ? freshet_partition_of(output->key, count) : output->partition % count;
  lane* l = &lanes->lanes[output->topic][place];
  pthread_mutex_lock(&lanes->lock);
  if (goes_at_once(lanes, l)) {
    code = hand_over(lanes, l, output, mark);
  } else if (lanes->bytes >= FRESHET_KAFKA_WAITING_BYTES) {
    code = RD_KAFKA_RESP_ERR__QUEUE_FULL;
  } else {
    append(lanes, l, copy_of(lanes, output, mark));
    if (has_gathered_enough(lanes)) has_paused = release_by(lanes, release_lane);
  }
  pthread_mutex_unlock(&lanes->lock);
  if (has_paused) wake_producer(lanes);
  return code;
}

static void refuse_all(freshet_lanes* lanes, lane* l, void* code) {
  for (; l->first != NULL; drop_first(lanes, l))
    lanes->refused(lanes->context, &l->first->output, l->first->mark, *(rd_kafka_resp_err_t*)code);
}

int freshet_lanes_delivered(freshet_lanes* lanes, void* opaque, rd_kafka_resp_err_t code) {
  const parcel* p = opaque;
  pthread_mutex_lock(&lanes->lock);
  p->lane->on_the_way--;
  lanes->on_the_way--;
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    p->lane->is_known = true;
  } else { /* a record that was given up is published again, with all that came after it */
    refuse_all(lanes, p->lane, &code);
  }
  if (is_free(p->lane)) lanes->has_free = true;
  pthread_mutex_unlock(&lanes->lock);
  return p->mark;
}

size_t freshet_lanes_waiting(freshet_lanes* lanes) {
  if (lanes == NULL) return 0;
  pthread_mutex_lock(&lanes->lock);
  size_t count = lanes->count;
  pthread_mutex_unlock(&lanes->lock);
  return count;
}

/* ---- the thread ---- */

static void* serve(void* context) {
  freshet_lanes* lanes = context;
  pthread_mutex_lock(&lanes->lock);
  while (!lanes->stopping) {
    if (lanes->released == 0) {
      pthread_cond_wait(&lanes->changed, &lanes->lock);
      continue;
    }
    const bool has_paused = serve_free_lanes(lanes);
    pthread_mutex_unlock(&lanes->lock);
    if (has_paused) wake_producer(lanes);
    rd_kafka_poll(lanes->producer->handle, SERVE_MS);
    pthread_mutex_lock(&lanes->lock);
  }
  pthread_mutex_unlock(&lanes->lock);
  return NULL;
}

/* ---- life ---- */

static void create_topic(freshet_lanes* lanes, freshet_topic topic, int32_t count) {
  lanes->counts[topic] = count;
  lanes->lanes[topic] = calloc((size_t)count, sizeof *lanes->lanes[topic]);
  FRESHET_ASSERT(lanes->lanes[topic] != NULL);
  for (int32_t p = 0; p < count; p++) {
    lane* l = &lanes->lanes[topic][p];
    *l = (lane){.place = topic, .topic = lanes->producer->topics[topic], .partition = p, .end = &l->first};
    for (int mark = 0; mark < FRESHET_LANES_MARKS; mark++) l->parcels[mark] = (parcel){l, mark};
  }
}

/* A number of the producer's configuration. */
static size_t property_of(const freshet_kafka_client* producer, const char* name) {
  char value[32] = "";
  size_t size = sizeof value;
  rd_kafka_conf_get(rd_kafka_conf(producer->handle), name, value, &size);
  return strtoull(value, NULL, 10);
}

freshet_lanes* freshet_lanes_create(freshet_kafka_client* producer, const struct rd_kafka_metadata* metadata,
                                    freshet_lanes_mode mode, freshet_lanes_refused refused, void* context) {
  freshet_lanes* lanes = calloc(1, sizeof *lanes);
  FRESHET_ASSERT(lanes != NULL);
  lanes->producer = producer;
  lanes->mode = mode;
  lanes->batch_bytes = property_of(producer, "batch.size");
  if (lanes->batch_bytes > property_of(producer, "message.max.bytes"))
    lanes->batch_bytes = property_of(producer, "message.max.bytes");
  lanes->queue_bytes = 1024 * property_of(producer, "queue.buffering.max.kbytes");
  lanes->seal_bytes = SEAL_BYTES + (producer->config->app_id == NULL ? 0 : strlen(producer->config->app_id));
  lanes->batch_records = property_of(producer, "batch.num.messages");
  lanes->refused = refused;
  lanes->context = context;
  pthread_mutex_init(&lanes->lock, NULL);
  pthread_cond_init(&lanes->changed, NULL);
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    if (producer->topics[topic] != NULL) create_topic(lanes, (freshet_topic)topic, 1);
  }
  for (int i = 0; i < metadata->topic_cnt; i++) {
    freshet_topic topic = freshet_kafka_config_topic(producer->config, metadata->topics[i].topic);
    if (topic >= FRESHET_TOPICS || metadata->topics[i].partition_cnt <= 0) continue;
    free(lanes->lanes[topic]);
    create_topic(lanes, topic, metadata->topics[i].partition_cnt);
  }
  if (mode == FRESHET_LANES_GATHER) return lanes;
  lanes->has_thread = pthread_create(&lanes->thread, NULL, serve, lanes) == 0;
  FRESHET_ASSERT(lanes->has_thread);
  return lanes;
}

void freshet_lanes_drop(freshet_lanes* lanes, rd_kafka_resp_err_t code) {
  if (lanes == NULL) return;
  pthread_mutex_lock(&lanes->lock);
  each_lane(lanes, refuse_all, &code);
  pthread_mutex_unlock(&lanes->lock);
}

static void empty_lane(freshet_lanes* lanes, lane* l, void* context) {
  (void)context;
  while (l->first != NULL) drop_first(lanes, l);
}

void freshet_lanes_stop(freshet_lanes* lanes) {
  if (lanes == NULL) return;
  pthread_mutex_lock(&lanes->lock);
  lanes->stopping = true;
  each_lane(lanes, empty_lane, NULL);
  pthread_cond_signal(&lanes->changed);
  pthread_mutex_unlock(&lanes->lock);
  if (lanes->has_thread) pthread_join(lanes->thread, NULL);
  lanes->has_thread = false;
}

void freshet_lanes_destroy(freshet_lanes* lanes) {
  if (lanes == NULL) return;
  FRESHET_ASSERT(!lanes->has_thread);
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) free(lanes->lanes[topic]);
  pthread_cond_destroy(&lanes->changed);
  pthread_mutex_destroy(&lanes->lock);
  free(lanes);
}
