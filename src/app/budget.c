/*
 * budget.c: computes how much memory a configuration allows, from the bounds in it and the sizes of what is
 * kept: rows of users, items, queues, caches. It opens nothing and allocates nothing, so `freshet config`
 * may print it for a service that does not run here.
 */
#include "app/budget.h"

#include <stdlib.h>

#include "freshet/encoder.h"
#include "freshet/model.h"
#include "kafka/kafka.h"
#include "service/http.h"
#include "text/vocabulary.h"
#include "users/users.h"
#include "worker/commit.h"

/* What malloc adds to a block, and what an id takes on the average. */
enum { BLOCK_OVERHEAD = 16, ID_BYTES = 32 };

/* Bytes of an item in addition to its vectors and lists, and of an entry of its lists, which come in blocks of so many
 * entries. They are a little above what the model needs; a unit test compares them with the real model. */
enum { ITEM_BYTES = 512, NEIGHBOUR_BYTES = 10, NEIGHBOURS_BLOCK = 32, TEXT_LIST_BYTES = 128 };

/* Of an item's categories and attributes: the list, and a key of each; and how many are usual. */
enum { FACETS_BYTES = 32 + BLOCK_OVERHEAD, FACET_BYTES = 8, FACETS_USUAL = 4 };

/* The Kafka clients of one process (src/kafka/client.c), and the bounds of their queues in KiB. */
enum { CONSUMERS = 3, CONSUMER_KBYTES = 65536, PRODUCERS = 2, PRODUCER_KBYTES = 65536 };
/* With delivery = committed one transaction of lists is committed while the next one is written, beside one of the state. */
enum { PRODUCERS_OF_COMMITTED = 4 };

static const double mib = 1 << 20;

static double bytes_per_user(const freshet_config* config, double seen, double shown) {
  double habits = seen < FRESHET_HABITS_MAX ? seen : FRESHET_HABITS_MAX;
  double vectors = config->text.users == FRESHET_USER_TEXT_ENCODED ? 2 : 1;
  return (double)(sizeof(freshet_user_row) + sizeof(freshet_user) + 8 * BLOCK_OVERHEAD + ID_BYTES) +
         vectors * (double)config->model.dim * sizeof(float) + seen * (sizeof(uint32_t) + 1) +
         habits * (double)sizeof(freshet_habit) + shown * (double)sizeof(freshet_shown) +
         (double)config->ranking.k * sizeof(uint32_t);
}

/* Two rows of factors. With text: the quantised vector, the list, and where factors start after a
 * change of the encoder.
 * In the ranker: 8-bit codes of a row and its last columns; the factors too, unless the model can lend them. */
static double bytes_per_item(const freshet_config* config, uint32_t text_dim) {
  double row = (double)config->model.dim * sizeof(float);
  double ranker = row / 4 + 80 + (config->model.dim % 16 == 0 ? 64 : row + 64);
  double text = text_dim == 0 ? 0 : row / 2 + text_dim + 64 + TEXT_LIST_BYTES;
  int64_t blocks = (config->model.neighbours + NEIGHBOURS_BLOCK - 1) / NEIGHBOURS_BLOCK;
  double lists = (double)(blocks * NEIGHBOURS_BLOCK * NEIGHBOUR_BYTES + 64);
  return ITEM_BYTES + ID_BYTES + 2 * row + lists + text + ranker;
}

/* Of items that wait for a commit, copies of both rows and their part of the delta; twice, as learning goes on while a commit
 * is written, and each buffer may have twice the room it needs. */
static double delta_bytes(const freshet_config* config, double items) {
  double row = (double)config->model.dim * sizeof(float);
  double most = 2 * (double)FRESHET_COMMIT_DELTA_BYTES / row; /* a row of the delta takes half of its two */
  return (2 * 2 + 4) * row * (items < most ? items : most);
}

static double queue_bytes(const freshet_config* config, const char* property, double fallback) {
  const char* text = freshet_config_kafka(config, property);
  return 1024 * (text == NULL ? fallback : strtod(text, NULL));
}

/* auto may come to hashing, which has the words of the catalogue beside the cache. */
static double text_bytes(const freshet_config* config) {
  if (config->text.encoder == FRESHET_ENCODER_NONE) return 0;
  const bool may_hash =
      config->text.encoder == FRESHET_ENCODER_HASHING || config->text.encoder == FRESHET_ENCODER_AUTO;
  return (double)config->text.cache_mb * mib + (may_hash ? FRESHET_VOCABULARY_BYTES : 0);
}

static double larger(double a, double b) {
  return a > b ? a : b;
}

/* Each connection has its headers; bodies share a bound. */
static double http_bytes(const freshet_config* config) {
  const double connections = (double)config->http.connections, bodies = connections * FRESHET_HTTP_BODY_MAX;
  if (config->http.port == 0) return 0;
  return connections * FRESHET_HTTP_HEADER_MAX +
         (bodies < FRESHET_HTTP_BODIES_MAX ? bodies : FRESHET_HTTP_BODIES_MAX);
}

freshet_budget freshet_budget_of(const freshet_config* config, uint32_t text_dim) {
  freshet_budget b = {0};
  b.bytes_per_user = bytes_per_user(config, (double)config->model.seen_limit, FRESHET_SHOWN_MAX);
  b.bytes_per_item = bytes_per_item(config, text_dim);
  b.users = b.bytes_per_user * larger((double)config->state.user_cache, (double)config->state.overlay_users);
  b.items = b.bytes_per_item * (double)config->model.max_items;
  b.deltas = delta_bytes(config, (double)config->model.max_items);
  /* a set that is at most half full and the queue beside it, both powers of two */
  b.dedup = (double)config->topics.partitions * (double)config->state.dedup_events * 6 * sizeof(uint64_t);
  /* memtables: those being filled and those being written out */
  b.rocksdb = ((double)config->state.block_cache_mb + 2 * (double)config->state.memtable_mb) * mib;
  const double producers =
      config->app.delivery == FRESHET_DELIVERY_COMMITTED ? PRODUCERS_OF_COMMITTED : PRODUCERS;
  double consumers = config->state.standby > 0 ? CONSUMERS + 1 : CONSUMERS;
  b.kafka = consumers * queue_bytes(config, "queued.max.messages.kbytes", CONSUMER_KBYTES) +
            producers * (queue_bytes(config, "queue.buffering.max.kbytes", PRODUCER_KBYTES) +
                         FRESHET_KAFKA_WAITING_BYTES);
  b.text = text_bytes(config);
  b.facets = (double)config->model.max_items *
             (FACETS_BYTES + FACET_BYTES * (FRESHET_CATEGORIES_MAX + FRESHET_ATTRIBUTES_MAX));
  b.http = http_bytes(config);
  b.total = b.users + b.items + b.deltas + b.facets + b.dedup + b.rocksdb + b.kafka + b.http + b.text;
  b.usual = FRESHET_BUDGET_USERS * bytes_per_user(config, FRESHET_BUDGET_SEEN, FRESHET_BUDGET_SEEN) +
            FRESHET_BUDGET_ITEMS * (b.bytes_per_item + FACETS_BYTES + FACET_BYTES * FACETS_USUAL) +
            delta_bytes(config, FRESHET_BUDGET_ITEMS) + b.dedup + b.rocksdb + b.text;
  return b;
}

freshet_budget freshet_budget_of_settings(const freshet_config* config) {
  /* The dimensions of a BERT model are known only when it is loaded; 384 is what the default one has. */
  uint32_t lexical_dim = config->text.lexical_weight > 0 ? FRESHET_LEXICAL_DIM : 0;
  uint32_t text_dim = config->text.encoder == FRESHET_ENCODER_NONE ? 0 : 384 + lexical_dim;
  if (config->text.encoder == FRESHET_ENCODER_HASHING) text_dim = (uint32_t)config->text.dim;
  return freshet_budget_of(config, text_dim);
}

void freshet_budget_print(const freshet_config* config, FILE* out) {
  freshet_budget b = freshet_budget_of_settings(config);
  fprintf(out, "\n; memory budget: at most, in MiB\n");
  fprintf(out,
          ";   users      %8.0f   %.1f KiB each; state.user_cache, state.overlay_users, model.seen_limit\n",
          b.users / mib, b.bytes_per_user / 1024);
  fprintf(out, ";   items      %8.0f   %.1f KiB each; model.max_items, model.neighbours, model.dim\n",
          b.items / mib, b.bytes_per_item / 1024);
  fprintf(
      out,
      ";   deltas     %8.0f   what has been learned of items since the last commit, and is being written\n",
      b.deltas / mib);
  fprintf(out, ";   facets     %8.0f   model.max_items, with %d categories and %d attributes each\n",
          b.facets / mib, FRESHET_CATEGORIES_MAX, FRESHET_ATTRIBUTES_MAX);
  fprintf(out, ";   dedup      %8.0f   state.dedup_events for each of topics.partitions\n", b.dedup / mib);
  fprintf(out, ";   RocksDB    %8.0f   state.block_cache_mb, state.memtable_mb twice\n", b.rocksdb / mib);
  fprintf(out, ";   librdkafka %8.0f   kafka.queued.max.messages.kbytes, kafka.queue.buffering.max.kbytes\n",
          b.kafka / mib);
  fprintf(out, ";   HTTP       %8.0f   http.connections, %d KiB of headers each, %d MiB of bodies together\n",
          b.http / mib, FRESHET_HTTP_HEADER_MAX / 1024, FRESHET_HTTP_BODIES_MAX / (1024 * 1024));
  fprintf(
      out,
      ";   text       %8.0f   text.cache_mb, and with hashing %d for the words of the catalogue; weights are "
      "mapped from their file\n",
      b.text / mib, FRESHET_VOCABULARY_BYTES >> 20);
  fprintf(out, ";   total      %8.0f\n", b.total / mib);
  fprintf(out, "; %d items and %d users with %d seen items each need %.0f MiB, queues not counted.\n",
          FRESHET_BUDGET_ITEMS, FRESHET_BUDGET_USERS, FRESHET_BUDGET_SEEN, b.usual / mib);
}
