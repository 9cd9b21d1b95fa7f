/*
 * demo.c: `freshet demo`, the whole service in this process on an embedded broker, with the producers and the
 * reader of a shop beside it. It owns the data, the clients and the worker's thread; it must not reach into the
 * worker, which sees nothing but topics.
 */
#include <ftw.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/front.h"
#include "app/serve.h"
#include "commands/commands.h"
#include "commands/demo_customers.h"
#include "commands/installed.h"
#include "commands/manual/manual.h"
#include "commands/options.h"
#include "commands/progress.h"
#include "kafka/embedded.h"
#include "kafka/kafka.h"

enum {
  PARTITIONS = 4,
  READ_WITHIN_MS = 20000, /* after this time it goes on with the texts that are encoded */
  LEARN_WITHIN_MS = 25000,
  LIST_WITHIN_MS = 5000,
  POLL_RECORDS = 1024,
};

#define QUICK_FETCH "fetch.wait.max.ms"

static const char usage[] =
    "usage: freshet demo [--keep] [--data FOLDER] [-X SECTION.KEY=VALUE]...\n\n"
    "Runs the whole service in this process, on an embedded broker and a slice of real purchases (UCI "
    "Online\n"
    "Retail): publishes products and purchases as Avro, lets the worker learn them, then lets 30 "
    "customers\n"
    "buy once more and shows lists before and after, why they changed, how alike their products are, and\n"
    "how long that took. Needs no Kafka.\n\n"
    "  --keep                leave everything running at the end, with the HTTP port open, until Ctrl-C\n"
    "  --data FOLDER         items.csv and events.csv.gz (default: the slice that comes with the program)\n"
    "  -X SECTION.KEY=VALUE  override one key of the configuration; may be repeated\n\n"
    "The embedded broker keeps its records in memory and gives transactions no meaning, so the demo shows "
    "speed\n"
    "and lists, not exactly-once: that takes a real broker, see `freshet help run`.\n";

typedef struct demo {
  freshet_config* config;
  freshet_kafka_embedded* broker;
  freshet_kafka_property properties[3];
  freshet_kafka_config kafka;
  freshet_sink* sink;    /* clients of the demo itself: its producers */
  freshet_reader* lists; /* client of the demo itself: its reader */
  freshet_codec* codec;
  freshet_clock* clock;
  freshet_demo_data data;
  freshet_demo_customer customers[FRESHET_DEMO_CUSTOMERS]; /* [customer_count] */
  size_t customer_count;
  freshet_record records[POLL_RECORDS];
  freshet_buffer bytes;

  freshet_log_writer log_writer;
  freshet_logger logger;
  freshet_front front; /* closed without --keep */
  freshet_worker_metrics metrics;
  pthread_t worker;
  bool worker_started;
  freshet_error worker_error; /* valid after the thread is joined, or when worker_ended */
  _Atomic bool worker_ended;
  _Atomic bool stopping;
  char state_folder[64];
} demo;

/* ---- producing and reading, as anybody's programs would ---- */

static freshet_status publish(demo* d, freshet_topic topic, const char* key, freshet_error* error) {
  freshet_output output = {.topic = topic,
                           .partition = -1,
                           .key = freshet_slice_of(key),
                           .has_value = true,
                           .value = freshet_buffer_slice(&d->bytes)};
  return freshet_sink_publish(d->sink, &output, error);
}

static freshet_status publish_product(demo* d, const freshet_demo_product* p, freshet_error* error) {
  freshet_item item = {
      .item_id = freshet_slice_of(p->id), .title = freshet_slice_of(p->title), .available = true};
  d->bytes.size = 0;
  freshet_status status = freshet_encode_item(d->codec, &item, &d->bytes, error);
  if (status == FRESHET_OK) status = publish(d, FRESHET_TOPIC_ITEMS, p->id, error);
  return status;
}

static freshet_status publish_purchase(demo* d, const freshet_demo_purchase* p, freshet_error* error) {
  freshet_event event = {.type = FRESHET_PURCHASE,
                         .event_id = freshet_slice_of(p->event_id),
                         .user_id = freshet_slice_of(p->user_id),
                         .item_id = freshet_slice_of(p->item_id),
                         .occurred_at_ms = p->occurred_at_ms,
                         .quantity = 1};
  d->bytes.size = 0;
  freshet_status status = freshet_encode_event(d->codec, &event, &d->bytes, error);
  if (status == FRESHET_OK) status = publish(d, FRESHET_TOPIC_EVENTS, p->user_id, error);
  return status;
}

/* Asks for the customer's list without variety. The reply has the customer's id as its key. */
static freshet_status publish_request(demo* d, const char* customer, freshet_error* error) {
  const freshet_request request = {.request_id = freshet_slice_of(customer),
                                   .user_id = freshet_slice_of(customer),
                                   .k = (int32_t)d->config->ranking.k};
  d->bytes.size = 0;
  freshet_status status = freshet_encode_request(d->codec, &request, &d->bytes, error);
  if (status == FRESHET_OK) status = publish(d, FRESHET_TOPIC_REQUESTS, customer, error);
  return status;
}

static void note_list(demo* d, const freshet_record* record) {
  freshet_list list;
  for (size_t i = 0; i < d->customer_count; i++) {
    freshet_demo_customer* c = &d->customers[i];
    if (!record->has_value || !freshet_slice_equal(record->key, freshet_slice_of(c->id))) continue;
    if (freshet_decode_list(d->codec, record->value, &list, NULL) != FRESHET_OK) continue;
    if (record->topic == FRESHET_TOPIC_REPLIES) {
      freshet_demo_list_read(&c->story.plain, &list, &d->data);
      c->has_plain = true;
      continue;
    }
    if (list.version_offset < c->version) continue; /* the rule for readers: the larger version wins */
    c->version = list.version_offset;
    freshet_demo_list_read(&c->shown, &list, &d->data);
  }
}

static freshet_status read_lists(demo* d, int timeout_ms, size_t* count, freshet_error* error) {
  freshet_status status = freshet_reader_poll(d->lists, timeout_ms, d->records, POLL_RECORDS, count, error);
  for (size_t i = 0; status == FRESHET_OK && i < *count; i++) note_list(d, &d->records[i]);
  return status;
}

/* ---- the service, on a thread of its own ---- */

static bool is_stopping(void* context) {
  return atomic_load(&((demo*)context)->stopping);
}

static void* run_worker(void* context) {
  demo* d = context;
  freshet_engine* engine = NULL;
  freshet_engine_config config = {.config = d->config,
                                  .logger = &d->logger,
                                  .metrics = &d->metrics,
                                  .inbox = d->front.inbox,
                                  .stopping = is_stopping,
                                  .stopping_context = d};
  if (freshet_engine_create(&config, &engine, &d->worker_error) == FRESHET_OK) {
    freshet_front_attach(&d->front, engine);
    freshet_engine_run(engine, &d->worker_error);
    freshet_front_attach(&d->front, NULL);
  }
  freshet_engine_destroy(engine);
  atomic_store(&d->worker_ended, true);
  return NULL;
}

static freshet_status worker_failed(demo* d, freshet_error* error) {
  return freshet_error_set(error, FRESHET_ABORTED, FRESHET_STOP, "the worker stopped: %s",
                           d->worker_error.message);
}

static uint64_t learned(const demo* d) {
  return freshet_metric(&d->metrics.events[FRESHET_PURCHASE]);
}

/* ---- the show ---- */

/* Item texts are encoded in the background. A service would not wait for that, but a viewer of the demo wants
 * good lists. */
static freshet_status wait_until_read(demo* d, freshet_error* error) {
  int64_t start_us = freshet_clock_monotonic_us(d->clock);
  freshet_progress* progress = freshet_progress_create("reading product names", d->data.product_count);
  uint64_t listed = 0, waiting = 1;
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && (listed < d->data.product_count || waiting > 0)) {
    size_t count;
    listed = freshet_metric(&d->metrics.items_listed);
    waiting = freshet_metric(&d->metrics.texts_waiting);
    freshet_progress_show(progress, listed > waiting ? listed - waiting : 0);
    if (atomic_load(&d->worker_ended)) status = worker_failed(d, error);
    if (status == FRESHET_OK) status = read_lists(d, 20, &count, error);
    if (freshet_clock_monotonic_us(d->clock) - start_us > (int64_t)READ_WITHIN_MS * 1000) break;
  }
  freshet_progress_end(progress, listed > waiting ? listed - waiting : 0);
  return status;
}

/* rate: of the learning alone, without the time until the group has formed. */
static freshet_status wait_until_learned(demo* d, uint64_t target, double* rate, freshet_error* error) {
  int64_t start_us = freshet_clock_monotonic_us(d->clock), first_us = 0;
  uint64_t before = 0;
  size_t count;
  freshet_progress* progress = freshet_progress_create("learning", target);
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && learned(d) < target) {
    if (atomic_load(&d->worker_ended)) status = worker_failed(d, error);
    if (freshet_clock_monotonic_us(d->clock) - start_us > (int64_t)LEARN_WITHIN_MS * 1000) {
      status = freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP,
                                 "learned %llu of %llu purchases in %d s", (unsigned long long)learned(d),
                                 (unsigned long long)target, LEARN_WITHIN_MS / 1000);
    }
    if (status == FRESHET_OK) status = read_lists(d, 20, &count, error);
    if (first_us == 0 && learned(d) > 0) {
      first_us = freshet_clock_monotonic_us(d->clock);
      before = learned(d);
    }
    freshet_progress_show(progress, learned(d));
  }
  freshet_progress_end(progress, learned(d));
  int64_t took_us = freshet_clock_monotonic_us(d->clock) - first_us;
  *rate = (double)(learned(d) - before) * 1e6 / (double)(took_us > 0 ? took_us : 1);
  return status;
}

static freshet_status publish_history(demo* d, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < d->data.product_count; i++) {
    status = publish_product(d, &d->data.products[i], error);
  }
  if (status == FRESHET_OK) status = freshet_sink_settle(d->sink, LEARN_WITHIN_MS, error);
  if (status == FRESHET_OK) status = wait_until_read(d, error);
  for (size_t i = 0; status == FRESHET_OK && i < d->data.purchase_count; i++) {
    const freshet_demo_purchase* p = &d->data.purchases[i];
    bool held_back = false;
    for (size_t c = 0; c < d->customer_count; c++) held_back |= d->customers[c].held_back == p;
    if (!held_back) status = publish_purchase(d, p, error);
  }
  if (status == FRESHET_OK) status = freshet_sink_settle(d->sink, LEARN_WITHIN_MS, error);
  return status;
}

/* Waits for a list of the customer with a version above `version`, and for the one without variety if it was asked for;
 * LIST_WITHIN_MS at most. */
static freshet_status wait_for_list(demo* d, const freshet_demo_customer* c, int64_t version, bool asked,
                                    freshet_error* error) {
  int64_t start_us = freshet_clock_monotonic_us(d->clock);
  while (c->version <= version || (asked && !c->has_plain)) {
    size_t count;
    freshet_status status = read_lists(d, 10, &count, error);
    if (status != FRESHET_OK) return status;
    if (atomic_load(&d->worker_ended)) return worker_failed(d, error);
    if (freshet_clock_monotonic_us(d->clock) - start_us > (int64_t)LIST_WITHIN_MS * 1000) {
      return freshet_error_set(error, FRESHET_TIMEOUT, FRESHET_STOP, "no list for customer %s within %d s",
                               c->id, LIST_WITHIN_MS / 1000);
    }
  }
  return FRESHET_OK;
}

/* The customer's last purchase is made, and the story is what happened. */
static freshet_status play(demo* d, freshet_demo_customer* c, freshet_error* error) {
  freshet_status status = wait_for_list(d, c, -1, false, error);
  if (status != FRESHET_OK) return status;
  c->story.before = c->shown;
  int64_t version = c->version;
  int64_t start_us = freshet_clock_monotonic_us(d->clock);
  status = publish_purchase(d, c->held_back, error);
  if (status == FRESHET_OK) status = freshet_sink_settle(d->sink, LIST_WITHIN_MS, error);
  if (status == FRESHET_OK) status = wait_for_list(d, c, version, false, error);
  if (status != FRESHET_OK) return status;
  c->story.took_ms = (double)(freshet_clock_monotonic_us(d->clock) - start_us) / 1000;
  c->story.after = c->shown;
  if (d->config->ranking.diversity <= 0) return FRESHET_OK;
  status = publish_request(d, c->id, error);
  if (status == FRESHET_OK) status = freshet_sink_settle(d->sink, LIST_WITHIN_MS, error);
  if (status == FRESHET_OK) status = wait_for_list(d, c, version, true, error);
  return status;
}

static freshet_status show_customers(demo* d, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < d->customer_count; i++)
    status = play(d, &d->customers[i], error);
  if (status != FRESHET_OK) return status;
  freshet_demo_customers_show(d->customers, d->customer_count, &d->data);
  printf("%llu lists published for %llu events\n",
         (unsigned long long)freshet_metric(&d->metrics.lists_published), (unsigned long long)learned(d));
  return FRESHET_OK;
}

static freshet_status show(demo* d, freshet_error* error) {
  printf("%zu products and %zu real purchases (UCI Online Retail, CC BY 4.0), an embedded broker at %s\n",
         d->data.product_count, d->data.purchase_count, d->properties[0].value);
  fflush(stdout);
  uint64_t history = d->data.purchase_count - d->customer_count;
  freshet_status status = publish_history(d, error);
  double rate = 0;
  if (status == FRESHET_OK) status = wait_until_learned(d, history, &rate, error);
  if (status != FRESHET_OK) return status;
  printf("%.0f events/s, learned and listed\n", rate);
  status = show_customers(d, error);
  fflush(stdout);
  return status;
}

/* ---- setting up and taking down ---- */

static freshet_status open_clients(demo* d, freshet_error* error) {
  freshet_codec_config codec = {0};
  freshet_status status = freshet_codec_create(&codec, &d->codec, error);
  d->properties[0] =
      (freshet_kafka_property){"bootstrap.servers", freshet_kafka_embedded_bootstrap(d->broker)};
  d->properties[1] = (freshet_kafka_property){QUICK_FETCH, "2"};
  /* The embedded broker hands out one produced batch for each fetch, so history is produced in large
   * batches. */
  d->properties[2] = (freshet_kafka_property){"linger.ms", "50"};
  d->kafka = (freshet_kafka_config){
      .properties = d->properties, .property_count = 3, .app_id = "demo-viewer", .client_id = "demo-viewer"};
  d->kafka.partitioner = (freshet_partitioner)d->config->events.partitioner;
  memcpy(d->kafka.topics, d->config->topics.names, sizeof d->kafka.topics);
  if (status == FRESHET_OK) status = freshet_kafka_sink_create(&d->kafka, NULL, &d->sink, error);
  if (status == FRESHET_OK) status = freshet_kafka_reader_create(&d->kafka, &d->lists, error);
  for (int32_t p = 0; status == FRESHET_OK && p < PARTITIONS; p++) {
    status = freshet_reader_open(d->lists, FRESHET_TOPIC_RECOMMENDATIONS, p, FRESHET_OFFSET_BEGINNING, error);
    if (status == FRESHET_OK)
      status = freshet_reader_open(d->lists, FRESHET_TOPIC_REPLIES, p, FRESHET_OFFSET_BEGINNING, error);
  }
  return status;
}

/* The demo's configuration: what -X says, with the embedded broker and a state folder of its own. */
static freshet_status configure(demo* d, freshet_options* options, freshet_error* error) {
  static char bootstrap[128], folder[128];
  freshet_status status = freshet_options_load(options, &d->config, error);
  if (status == FRESHET_OK)
    status = freshet_kafka_embedded_create(d->config->topics.names, PARTITIONS, &d->broker, error);
  if (status != FRESHET_OK) return status;
  snprintf(d->state_folder, sizeof d->state_folder, "/tmp/freshet-demo-XXXXXX");
  if (mkdtemp(d->state_folder) == NULL) {
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "cannot make a folder for the state in /tmp");
  }
  snprintf(bootstrap, sizeof bootstrap, "kafka.bootstrap.servers=%s",
           freshet_kafka_embedded_bootstrap(d->broker));
  snprintf(folder, sizeof folder, "state.folder=%s", d->state_folder);
  /* The embedded broker answers a fetch that found nothing only when its time is over, even if records come
   * meanwhile. */
  const char* own[] = {bootstrap, folder, "log.level=warn", "kafka." QUICK_FETCH "=2"};
  for (size_t i = 0; i < sizeof own / sizeof own[0] && options->override_count < FRESHET_OVERRIDES_MAX; i++) {
    options->overrides[options->override_count++] = own[i];
  }
  freshet_config_destroy(d->config);
  d->config = NULL;
  status = freshet_options_load(options, &d->config, error);
  if (status == FRESHET_OK) d->logger = freshet_serve_logger(d->config, &d->log_writer);
  return status;
}

static int remove_entry(const char* path, const struct stat* info, int kind, struct FTW* place) {
  (void)info, (void)kind, (void)place;
  return remove(path);
}

static void remove_folder(const char* folder) {
  nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void tear_down(demo* d) {
  atomic_store(&d->stopping, true);
  if (d->worker_started) pthread_join(d->worker, NULL);
  freshet_front_close(&d->front);
  freshet_reader_destroy(d->lists);
  freshet_sink_destroy(d->sink);
  freshet_codec_destroy(d->codec);
  freshet_kafka_embedded_destroy(d->broker);
  freshet_config_destroy(d->config);
  freshet_demo_data_free(&d->data);
  freshet_buffer_free(&d->bytes);
  if (d->state_folder[0] != '\0') remove_folder(d->state_folder);
}

static freshet_status perform(demo* d, freshet_options* options, const char* folder, bool keep,
                              freshet_error* error) {
  char own[4096], path[4200];
  if (folder == NULL) {
    folder = own;
    freshet_installed_find("share/freshet/demo", "tests/data/online-retail", own, sizeof own);
  }
  snprintf(path, sizeof path, "%s/items.csv", folder);
  freshet_status status = freshet_demo_load_products(&d->data, path, error);
  snprintf(path, sizeof path, "%s/events.csv.gz", folder);
  if (status == FRESHET_OK) status = freshet_demo_load_purchases(&d->data, path, error);
  if (status == FRESHET_OK)
    status = freshet_demo_customers_choose(&d->data, d->customers, &d->customer_count, error);
  if (status == FRESHET_OK) status = configure(d, options, error);
  if (status == FRESHET_OK) status = open_clients(d, error);
  freshet_front_config shown = {.config = d->config, .metrics = &d->metrics, .logger = &d->logger};
  shown.pages = freshet_manual_routes(&shown.page_count);
  if (status == FRESHET_OK && keep) status = freshet_front_open(&d->front, &shown, error);
  if (status == FRESHET_OK) {
    d->worker_started = pthread_create(&d->worker, NULL, run_worker, d) == 0;
    status = show(d, error);
  }
  if (status == FRESHET_OK && keep) {
    if (d->front.monitor == NULL) printf("\nstill running, without HTTP; Ctrl-C ends it\n");
    if (d->front.monitor != NULL)
      printf("\nstill running: http://%s:%u/ (ask it: /v1/users/%s/recommendations); Ctrl-C ends it\n",
             d->config->http.bind, freshet_monitor_port(d->front.monitor), d->customers[0].id);
    fflush(stdout);
    while (!freshet_serve_stopping(NULL)) pause();
  }
  return status;
}

static int run(int argc, char** argv) {
  static const struct option longs[] = {
      {"keep", no_argument, NULL, 'k'}, {"data", required_argument, NULL, 'd'}, {NULL, 0, NULL, 0}};
  freshet_options options = {0};
  const char* folder = NULL;
  bool keep = false;
  int option;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    if (freshet_options_take(&options, option, optarg)) continue;
    if (option == '?') return FRESHET_EXIT_USAGE;
    if (option == 'k') keep = true;
    if (option == 'd') folder = optarg;
  }
  demo* d = calloc(1, sizeof *d);
  FRESHET_ASSERT(d != NULL);
  d->clock = freshet_clock_system();
  freshet_error error = {0};
  freshet_serve_catch_signals();
  freshet_status status = perform(d, &options, folder, keep, &error);
  tear_down(d);
  free(d);
  return status == FRESHET_OK ? FRESHET_EXIT_OK : freshet_command_failed("demo", &error);
}

const freshet_command freshet_command_demo = {
    .name = "demo",
    .summary = "the whole service in one process, on real purchases, without a broker",
    .usage = usage,
    .run = run,
    .has_model = true,
};
