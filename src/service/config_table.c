/*
 * config_table.c: the table of all keys, and what is asked about one key: find it, find the closest name,
 * check and store a value. The table is the only place that lists settings. It must not read files.
 */
#include "service/config_table.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "freshet/ranker.h"

#define AT(field) offsetof(freshet_config, field)
#define TEXT(section, name, field, fallback, doc) \
  { section, name, FRESHET_CONFIG_TEXT, AT(field), fallback, 0, 0, NULL, doc }
#define TOPIC(section, name, field, fallback, doc) \
  { section, name, FRESHET_CONFIG_TOPIC, AT(field), fallback, 0, 0, NULL, doc }
#define NAME(section, name, field, fallback, doc) \
  { section, name, FRESHET_CONFIG_NAME, AT(field), fallback, 0, 0, NULL, doc }
#define INTEGER(section, name, field, fallback, min, max, doc) \
  { section, name, FRESHET_CONFIG_INTEGER, AT(field), fallback, min, max, NULL, doc }
#define DECIMAL(section, name, field, fallback, min, max, doc) \
  { section, name, FRESHET_CONFIG_DECIMAL, AT(field), fallback, min, max, NULL, doc }
#define SWITCH(section, name, field, fallback, doc) \
  { section, name, FRESHET_CONFIG_SWITCH, AT(field), fallback, 0, 0, NULL, doc }
#define CHOICE(section, name, field, fallback, choices, doc) \
  { section, name, FRESHET_CONFIG_CHOICE, AT(field), fallback, 0, 0, choices, doc }

enum { TOPIC_NAME_MAX = 249 }; /* Kafka's own bound */

const freshet_config_key freshet_config_keys[] = {
    NAME("app", "id", app.id, "freshet",
         "Names the app: consumer group, transactional ids and state topics are derived from it."),
    TEXT("app", "generation", app.generation, "",
         "A later app generation (see backfill). Its own topics and groups are named <id>.<generation>."),
    TEXT("app", "instance_id", app.instance_id, "",
         "This process in the group (static membership). Empty: taken from the state folder. -: a dynamic "
         "member."),
    CHOICE(
        "app", "on_stop", app.on_stop, "keep", "keep|leave",
        "keep: after SIGTERM, partitions wait for this process for kafka.session.timeout.ms. leave: others "
        "get them at once."),
    CHOICE(
        "app", "delivery", app.delivery, "fast", "fast|committed",
        "fast: lists are published at once. committed: inside the transaction, for read_committed readers."),
    INTEGER(
        "app", "stop_timeout_s", app.stop_timeout_s, "30", 1, 3600,
        "SIGTERM commits what is open. After this time the process ends without a commit; nothing is lost."),

    TOPIC("topics", "events", topics.names[FRESHET_TOPIC_EVENTS], "events",
          "Click, Rating, Purchase and Feedback, keyed by user."),
    TOPIC("topics", "items", topics.names[FRESHET_TOPIC_ITEMS], "items", "The catalogue, keyed by item."),
    TOPIC("topics", "requests", topics.names[FRESHET_TOPIC_REQUESTS], "requests",
          "Recommendation requests, keyed by user."),
    TOPIC("topics", "recommendations", topics.names[FRESHET_TOPIC_RECOMMENDATIONS], "recommendations",
          "Where lists go, keyed by user."),
    TOPIC("topics", "replies", topics.names[FRESHET_TOPIC_REPLIES], "replies",
          "Where answers to requests go, keyed by request."),
    TOPIC("topics", "dead_letters", topics.names[FRESHET_TOPIC_DEAD_LETTERS], "events.dead-letter",
          "Dead letters: records that cannot be used, unchanged."),
    TOPIC("topics", "users", topics.names[FRESHET_TOPIC_USERS], "<app>.users",
          "Changelog of user state. <app> stands for app.id."),
    TOPIC("topics", "item_states", topics.names[FRESHET_TOPIC_ITEM_STATES], "<app>.items",
          "Learned item state and text vectors."),
    TOPIC("topics", "item_deltas", topics.names[FRESHET_TOPIC_ITEM_DELTAS], "<app>.item-deltas",
          "What workers learn about items, for each other."),
    TOPIC("topics", "generations", topics.names[FRESHET_TOPIC_APP_GENERATIONS], "<base>.generations",
          "Which app generation publishes lists. <base> stands for app.id without the generation."),
    TOPIC("topics", "shadow", topics.names[FRESHET_TOPIC_SHADOW], "<app>.recommendations",
          "Lists of an app generation that does not serve."),
    INTEGER("topics", "partitions", topics.partitions, "4", 1, 10000,
            "Partitions of events, requests and the changelog when `freshet topics create` makes them."),
    INTEGER("topics", "replication", topics.replication, "1", 1, 32767,
            "Replicas of every topic made; 3 in production."),

    CHOICE("events", "partitioner", events.partitioner, "murmur2", "any|murmur2|crc32|fnv1a",
           "How producers choose a user's partition: murmur2 (Java), crc32 (librdkafka's default), fnv1a "
           "(Sarama), any (in another way)."),

    TEXT("registry", "folder", registry.folder, "",
         "Folder with more writer schemas (*.avsc), older or newer than the ones compiled in."),
    TEXT("registry", "ids", registry.ids, "",
         "Static map of Confluent schema ids, such as 12=Click,13=Rating,14=old/click.avsc."),
    TEXT("registry", "url", registry.url, "",
         "Schema registry with Confluent's API, several with commas; Apicurio: "
         "http://HOST:8080/apis/ccompat/v7."),
    TEXT("registry", "user_env", registry.user_env, "",
         "Name of the environment variable that holds NAME:PASSWORD of the registry."),
    TEXT("registry", "token_env", registry.token_env, "",
         "Name of the environment variable that holds a bearer token of the registry."),
    TEXT("registry", "ca", registry.ca, "", "PEM file of the authorities to trust; empty: the system's."),
    INTEGER("registry", "timeout_ms", registry.timeout_ms, "5000", 1, 600000,
            "How long one request to the registry may take."),
    CHOICE("registry", "framing", registry.framing, "single-object", "single-object|confluent",
           "How the values that are written for others are framed; both are read."),
    CHOICE("registry", "subjects", registry.subjects, "topic", "topic|record|topic-record",
           "Names under which `freshet topics create --register` registers schemas: TopicNameStrategy, "
           "RecordNameStrategy, TopicRecordNameStrategy."),

    INTEGER("model", "dim", model.dim, "64", 16, 1024, "Dimensions of the factors, a multiple of 16."),
    INTEGER(
        "model", "neighbours", model.neighbours, "128", 1, 4096,
        "The most co-occurrence entries that the list of an item may get as it grows. It may be changed "
        "later: "
        "set it in all workers of an app alike and restart them; of longer lists the heaviest entries stay."),
    INTEGER("model", "negatives", model.negatives, "31", 1, 250, "Sampled negatives per event."),
    INTEGER("model", "max_items", model.max_items, "1000000", 1, FRESHET_ITEMS_MAX,
            "Items that may be announced at once. Items that nobody announces give way to them."),
    INTEGER("model", "seen_limit", model.seen_limit, "1000", 1, 1000000,
            "Items per user that are remembered as seen and never recommended, the most recent."),
    INTEGER("model", "seed", model.seed, "1", 0, 9007199254740991, "The seed of every random choice."),
    SWITCH("model", "learning", model.learning, "on", "off: histories advance, factors stay."),
    DECIMAL("model", "positive_rating", model.positive_rating, "4", -1e6, 1e6,
            "Ratings at or above are positive."),
    DECIMAL("model", "rating_min", model.rating_min, "0.5", -1e6, 1e6,
            "Least rating on the scale; a rating off the scale is a dead letter."),
    DECIMAL("model", "rating_max", model.rating_max, "5", -1e6, 1e6, "Greatest rating on the scale."),
    CHOICE("model", "goal", model.goal, "any", "any|purchase|rating",
           "What lists are for: any choice, purchases, or ratings of positive_rating and above. Other "
           "choices say "
           "what a user is interested in, but are not predicted."),
    DECIMAL("model", "weight.click", model.weight_click, "1", 1e-3, 1000, "How much a click counts."),
    DECIMAL("model", "weight.rating", model.weight_rating, "1", 1e-3, 1000, "How much a rating counts."),
    DECIMAL("model", "weight.purchase", model.weight_purchase, "1", 1e-3, 1000,
            "How much a purchase counts."),
    INTEGER("model", "future_tolerance_s", model.future_tolerance_s, "86400", 0, 3153600000,
            "How far an event's time may lie after its record's; beyond is a dead letter."),

    CHOICE("text", "encoder", text.encoder, "auto", "auto|bert|words|hashing|http|none",
           "Makes vectors of item texts. auto: bert where a model is found, else hashing."),
    TEXT("text", "model", text.model, "", "Folder or file of the model (bert, words), or its name (http)."),
    INTEGER("text", "dim", text.dim, "256", 16, 4096, "Dimensions of hashing and http vectors."),
    CHOICE(
        "text", "precision", text.precision, "fp32", "fp32|int8",
        "int8: a quarter of the memory, over twice as fast with AVX-512 VNNI, 1.4 times with AVX2, cosine to "
        "fp32 at least .99."),
    DECIMAL(
        "text", "lexical_weight", text.lexical_weight, "0.7", 0, 10,
        "Weight of hashed words and character n-grams (256 dimensions) behind a model's vector; 0: none."),
    INTEGER("text", "threads", text.threads, "1", 1, 256, "Threads of the encoder."),
    INTEGER("text", "interval_s", text.interval_s, "1", 1, 86400,
            "New and changed texts are embedded at least this often ..."),
    INTEGER("text", "batch", text.batch, "32", 1, 4096, "... and as soon as this many wait."),
    TEXT("text", "url", text.url, "",
         "URL of the embedding server (http): OpenAI-compatible /v1/embeddings."),
    TEXT("text", "key_env", text.key_env, "",
         "Name of the environment variable that holds the server's key."),
    INTEGER("text", "timeout_ms", text.timeout_ms, "10000", 1, 600000,
            "How long one request to the server may take."),
    INTEGER("text", "cache_mb", text.cache_mb, "16", 0, 65536, "Cache of text vectors, by hash of the text."),
    DECIMAL("text", "cutover_coverage", text.cutover_coverage, "0.95", 0, 1,
            "Another encoder serves once this share of listed items has its vectors."),
    CHOICE("text", "users", text.users, "off", "off|pooled|encoded",
           "The texts of the last items of a user with under 10 events count for its lists: their vectors' "
           "mean, "
           "or all of them as one text."),

    INTEGER("worker", "threads", worker.threads, "0", 0, 256,
            "1: one thread learns, ranks and stores. More: changes are written to Kafka and to RocksDB "
            "beside learning, "
            "and so many "
            "threads rank while events lag. 0: as many as there are cores, at most 4. The state is the same "
            "with any number."),

    INTEGER("ranking", "k", ranking.k, "20", 1, FRESHET_RANK_K_MAX, "Length of a list."),
    INTEGER("ranking", "max_delay_ms", ranking.max_delay_ms, "30000", 1, 86400000,
            "A user with a new event waits at most this long for a list, even if the worker lags far."),
    INTEGER("ranking", "threads", ranking.threads, "1", 1, 256, "Threads that rank, at least."),
    INTEGER("ranking", "batch", ranking.batch, "256", 1, 65536,
            "Lists made per turn, at most: fewer where a list takes long."),
    SWITCH("ranking", "explain", ranking.explain, "on", "Lists say for each item why it is there."),
    DECIMAL("ranking", "diversity", ranking.diversity, "0.3", 0, 1,
            "How varied lists are, by the texts of their items: 0 is the best list, 1 as varied as can be."),

    DECIMAL(
        "requests", "context_weight", requests.context_weight, "4", 0, 1000,
        "What a request's text weighs, beside the user's own history: 1 as much as an item with that text "
        "chosen a moment ago; what such an item means is learned."),
    INTEGER("requests", "max_age_ms", requests.max_age_ms, "30000", 0, 86400000,
            "A request that has waited longer gets an empty list and a note. 0: any age."),
    TEXT("requests", "reply_topics", requests.reply_topics, "",
         "Topics that a request may name in its header kafka_replyTopic: prefixes of their "
         "names, such as search-replies. Empty: none. Never a topic of an app."),

    CHOICE(
        "rules", "hide", rules.hide, "learned", "seen|owned|bought|nothing|learned",
        "Which items a user is not shown again: all seen ones, those rated or bought, those bought, none. "
        "learned: all seen ones, until the stream shows repeats. Then the model judges who chooses again."),
    SWITCH("rules", "exclude_own", rules.exclude_own, "on",
           "An item whose attribute owner is the id of a user is not shown to that user."),
    INTEGER("rules", "hide_for_s.click", rules.hide_click_s, "0", 0, 31536000,
            "Where hide lets a clicked item come again: seconds after the click in which it does not."),
    INTEGER("rules", "hide_for_s.rating", rules.hide_rating_s, "0", 0, 31536000,
            "How long a rated item is not shown again, in seconds."),
    INTEGER("rules", "hide_for_s.purchase", rules.hide_purchase_s, "0", 0, 31536000,
            "How long a bought item is not shown again, in seconds."),
    INTEGER("rules", "max_per_category", rules.max_per_category, "0", 0, FRESHET_RANK_K_MAX,
            "At most this many items of one category in a list; 0: any number."),
    INTEGER("rules", "max_age_s", rules.max_age_s, "0", 0, 31536000000,
            "Items created longer ago are not shown; 0: any age."),
    DECIMAL("rules", "new_share", rules.new_share, "0", 0, 1,
            "Share of the places that goes to new items by chance."),
    INTEGER("rules", "new_age_s", rules.new_age_s, "604800", 1, 31536000000, "How long an item is new."),

    TEXT("state", "folder", state.folder, "freshet-state",
         "The folder of RocksDB. It belongs to one process and one app."),
    INTEGER("state", "commit_interval_ms", state.commit_interval_ms, "1000", 1, 600000,
            "State clock: between two commits of the state. While more than 50,000 events wait and lists do "
            "not wait for a commit: five times as long, at most 4 s longer."),
    INTEGER("state", "committed_interval_ms", state.committed_interval_ms, "10", 1, 600000,
            "With delivery = committed: between two transactions with lists. Most of them hold lists alone."),
    INTEGER("state", "overlay_users", state.overlay_users, "200000", 1, 100000000,
            "Commit at once when that many users have changed."),
    INTEGER("state", "user_cache", state.user_cache, "100000", 1, 100000000, "Users kept in memory."),
    INTEGER("state", "standby", state.standby, "0", 0, 1,
            "1: follow the changelog of neighbours' partitions, so that a take-over does not depend on the "
            "size of the state."),
    INTEGER("state", "block_cache_mb", state.block_cache_mb, "16", 1, 1048576,
            "RocksDB: blocks, indexes and filters in memory."),
    INTEGER("state", "memtable_mb", state.memtable_mb, "8", 1, 65536, "RocksDB: writes in memory."),
    INTEGER("state", "dedup_events", state.dedup_events, "100000", 0, 100000000,
            "Event ids remembered per partition; a repeated one is skipped."),
    INTEGER("state", "dedup_window_s", state.dedup_window_s, "86400", 0, 31536000,
            "How long an event id is remembered."),
    INTEGER("state", "items_interval_s", state.items_interval_s, "300", 1, 86400,
            "Learned item state goes to RocksDB this often ..."),
    INTEGER("state", "checkpoint_interval_s", state.checkpoint_interval_s, "300", 1, 86400,
            "... and to the item_states topic this often."),

    INTEGER("backfill", "rate", backfill.rate, "0", 0, 100000000,
            "At most this many events/s while an app generation that does not serve lags far; 0: no limit."),
    SWITCH("backfill", "yield", backfill.yield, "on",
           "Such an app generation leaves the processor to other processes (SCHED_BATCH, nice 18)."),

    TEXT("http", "bind", http.bind, "127.0.0.1", "Address to listen on."),
    INTEGER("http", "port", http.port, "8080", 0, 65535, "0: no HTTP."),
    TEXT("http", "token_file", http.token_file, "",
         "File with bearer tokens, one a line; every request but / /manual /livez /readyz /openapi.json has "
         "to bring "
         "one. 'read TOKEN': this one may not erase."),
    TEXT("http", "hosts", http.hosts, "",
         "Host names of this service, such as shop.example; where no token is asked for, others get 403."),
    TEXT("http", "certificate", http.certificate, "", "TLS: PEM file with the certificate and its chain."),
    TEXT("http", "key", http.key, "", "TLS: PEM file with the certificate's private key."),
    TEXT("http", "advertise", http.advertise, "",
         "URL under which other instances send clients here, such as http://10.0.0.5:8080."),
    INTEGER("http", "connections", http.connections, "12000", 16, 1000000,
            "Connections open at once, 16 KiB each."),
    INTEGER("http", "timeout_ms", http.timeout_ms, "1000", 1, 20000,
            "How long a request may wait for the worker; then 503."),
    INTEGER("http", "requests_per_s", http.requests_per_s, "10000", 0, 1000000000,
            "Requests a second of one client (a token, else an address); others get 429. 0: no limit."),

    CHOICE("log", "level", log.level, "info", "debug|info|warn|error", "Least level that is written."),
    CHOICE("log", "format", log.format, "kv", "kv|json", "key=value or JSON, one fact a line, to stderr."),
};
const int freshet_config_key_count = sizeof freshet_config_keys / sizeof freshet_config_keys[0];

int freshet_config_key_find(const char* full) {
  for (int i = 0; i < freshet_config_key_count; i++) {
    const freshet_config_key* key = &freshet_config_keys[i];
    size_t section_size = strlen(key->section);
    if (strncmp(full, key->section, section_size) == 0 && full[section_size] == '.' &&
        strcmp(full + section_size + 1, key->name) == 0) {
      return i;
    }
  }
  return -1;
}

/* Whether `variable` begins with `name` written as a variable: upper case, underscores for dots. */
static bool begins_as_variable(const char* variable, const char* name) {
  for (size_t i = 0; name[i] != '\0'; i++) {
    char expected = name[i] == '.' ? '_' : (char)toupper((unsigned char)name[i]);
    if (variable[i] != expected) return false;
  }
  return true;
}

int freshet_config_key_find_variable(const char* rest) {
  for (int i = 0; i < freshet_config_key_count; i++) {
    const freshet_config_key* key = &freshet_config_keys[i];
    size_t section_size = strlen(key->section);
    const char* name = rest + section_size + 1;
    if (begins_as_variable(rest, key->section) && rest[section_size] == '_' &&
        begins_as_variable(name, key->name) && name[strlen(key->name)] == '\0') {
      return i;
    }
  }
  return -1;
}

const char* freshet_config_section_of_variable(const char* rest) {
  if (strncmp(rest, "KAFKA_", 6) == 0) return "kafka";
  for (int i = 0; i < freshet_config_key_count; i++) {
    const char* section = freshet_config_keys[i].section;
    if (begins_as_variable(rest, section) && rest[strlen(section)] == '_') return section;
  }
  return NULL;
}

/* Levenshtein, one row at a time; both texts are shorter than KEY_TEXT_MAX. */
enum { KEY_TEXT_MAX = 256 };
static size_t edit_distance(const char* a, const char* b) {
  size_t row[KEY_TEXT_MAX + 1];
  size_t b_size = strlen(b);
  for (size_t j = 0; j <= b_size; j++) row[j] = j;
  for (size_t i = 0; a[i] != '\0'; i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b_size; j++) {
      size_t changed = diagonal + (a[i] != b[j]);
      size_t shorter = row[j] < row[j + 1] ? row[j] : row[j + 1];
      diagonal = row[j + 1];
      row[j + 1] = changed < shorter + 1 ? changed : shorter + 1;
    }
  }
  return row[b_size];
}

const char* freshet_config_key_closest(const char* full) {
  static _Thread_local char closest[KEY_TEXT_MAX];
  size_t least = SIZE_MAX;
  for (int i = 0; i < freshet_config_key_count; i++) {
    char candidate[KEY_TEXT_MAX];
    snprintf(candidate, sizeof candidate, "%s.%s", freshet_config_keys[i].section,
             freshet_config_keys[i].name);
    size_t distance = edit_distance(full, candidate);
    if (distance < least) {
      least = distance;
      memcpy(closest, candidate, sizeof closest);
    }
  }
  return closest;
}

static void upper(const char* text, char* out, size_t size) {
  size_t i = 0;
  for (; text[i] != '\0' && i + 1 < size; i++)
    out[i] = text[i] == '.' ? '_' : (char)toupper((unsigned char)text[i]);
  out[i] = '\0';
}

const char* freshet_config_variable_meant(const char* rest) {
  enum { LETTERS = 2 };
  static _Thread_local char meant[KEY_TEXT_MAX];
  char written[KEY_TEXT_MAX], section[KEY_TEXT_MAX];
  upper(rest, written, sizeof written);
  memcpy(section, written, sizeof section);
  section[strcspn(section, "_")] = '\0';
  /* The names after FRESHET_KAFKA_ are those of librdkafka. */
  if (written[strlen(section)] == '_' && edit_distance(section, "KAFKA") <= LETTERS) {
    snprintf(meant, sizeof meant, "KAFKA%.*s", KEY_TEXT_MAX - 8, written + strlen(section));
    return meant;
  }
  for (int i = 0; i < freshet_config_key_count; i++) {
    char full[KEY_TEXT_MAX];
    snprintf(full, sizeof full, "%s.%s", freshet_config_keys[i].section, freshet_config_keys[i].name);
    upper(full, meant, sizeof meant);
    if (edit_distance(written, meant) <= LETTERS) return meant;
  }
  return NULL;
}

/* FRESHET_HTTP_PORT of the service freshet-http is the address of its first port, and no number. */
static bool is_address_of_a_port(const char* rest, const char* value) {
  static const char* const protocols[] = {"tcp://", "udp://", "sctp://"};
  const size_t size = strlen(rest);
  if (size < 4 || strcmp(rest + size - 4, "PORT") != 0) return false;
  for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
    if (strncmp(value, protocols[i], strlen(protocols[i])) == 0) return true;
  }
  return false;
}

/* FRESHET_HTTP_PORT_80_TCP_ADDR, and so on. */
static bool is_part_of_a_port(const char* rest) {
  return strstr(rest, "_TCP") != NULL || strstr(rest, "_UDP") != NULL || strstr(rest, "_SCTP") != NULL;
}

bool freshet_config_variable_is_foreign(const char* rest, const char* value) {
  return strstr(rest, "SERVICE_HOST") != NULL || strstr(rest, "SERVICE_PORT") != NULL ||
         is_part_of_a_port(rest) || is_address_of_a_port(rest, value);
}

/* ---- values ---- */

freshet_config_app freshet_config_app_of(const char* topic, const char** rest) {
  static const char* const placeholders[] = {FRESHET_CONFIG_APP, FRESHET_CONFIG_BASE};
  for (int i = 0; i < FRESHET_CONFIG_NO_APP; i++) {
    size_t size = strlen(placeholders[i]);
    *rest = topic + size;
    if (strncmp(topic, placeholders[i], size) == 0) return (freshet_config_app)i;
  }
  return FRESHET_CONFIG_NO_APP;
}

static bool parse_name(const char* text, size_t skip, char* message, size_t size) {
  for (const char* c = text + skip; *c != '\0'; c++) {
    if (!isalnum((unsigned char)*c) && strchr("._-", *c) == NULL) {
      snprintf(message, size, "may only hold letters, digits, '.', '_' and '-', not '%s'", text);
      return false;
    }
  }
  if (text[0] != '\0' && strlen(text) <= TOPIC_NAME_MAX) return true;
  snprintf(message, size, "needs 1 to %d characters", TOPIC_NAME_MAX);
  return false;
}

static bool parse_number(const freshet_config_key* key, const char* text, double* number, char* message,
                         size_t size) {
  bool integer = key->type == FRESHET_CONFIG_INTEGER;
  char* end = NULL;
  errno = 0;
  *number = integer ? (double)strtoll(text, &end, 10) : strtod(text, &end);
  if (end == text || *end != '\0' || errno != 0 || !isfinite(*number)) {
    snprintf(message, size, "needs %s, not '%s'", integer ? "a whole number" : "a number", text);
    return false;
  }
  if (*number >= key->min && *number <= key->max) return true;
  snprintf(message, size, "has to lie between %.16g and %.16g, not at %s", key->min, key->max, text);
  return false;
}

static bool parse_choice(const char* choices, const char* text, int* choice, char* message, size_t size) {
  size_t text_size = strlen(text);
  int place = 0;
  for (const char* word = choices; word != NULL; place++) {
    const char* bar = strchr(word, '|');
    size_t word_size = bar == NULL ? strlen(word) : (size_t)(bar - word);
    if (word_size == text_size && memcmp(word, text, text_size) == 0) {
      *choice = place;
      return true;
    }
    word = bar == NULL ? NULL : bar + 1;
  }
  snprintf(message, size, "has to be one of %s, not '%s'", choices, text);
  return false;
}

static bool parse(const freshet_config_key* key, const char* text, void* field, char* message, size_t size) {
  double number;
  int choice;
  const char* rest;
  size_t app = freshet_config_app_of(text, &rest) == FRESHET_CONFIG_NO_APP ? 0 : (size_t)(rest - text);
  switch (key->type) {
    case FRESHET_CONFIG_NAME:
      app = 0;
      __attribute__((fallthrough));
    case FRESHET_CONFIG_TOPIC:
      if (!parse_name(text, app, message, size)) return false;
      memcpy(field, &text, sizeof text);
      return true;
    case FRESHET_CONFIG_INTEGER:
      if (!parse_number(key, text, &number, message, size)) return false;
      *(int64_t*)field = (int64_t)number;
      return true;
    case FRESHET_CONFIG_DECIMAL:
      if (!parse_number(key, text, &number, message, size)) return false;
      *(double*)field = number;
      return true;
    case FRESHET_CONFIG_SWITCH:
      if (!parse_choice("off|on", text, &choice, message, size)) return false;
      *(bool*)field = choice == 1;
      return true;
    case FRESHET_CONFIG_CHOICE:
      if (!parse_choice(key->choices, text, &choice, message, size)) return false;
      *(int*)field = choice;
      return true;
    case FRESHET_CONFIG_TEXT:
      break;
  }
  memcpy(field, &text, sizeof text);
  return true;
}

bool freshet_config_key_parse(const freshet_config_key* key, const char* text, freshet_config* config,
                              char* message, size_t message_size) {
  char reason[FRESHET_ERROR_MESSAGE_SIZE - KEY_TEXT_MAX];
  if (parse(key, text, (char*)config + key->offset, reason, sizeof reason)) return true;
  snprintf(message, message_size, "%s.%s %s", key->section, key->name, reason);
  return false;
}
