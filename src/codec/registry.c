/*
 * registry.c: the thread that asks, and the table of what it was told. An id is asked for until there is an answer; that
 * it does not exist is believed after some answers, since a registry may be a moment behind its leader, and only for a
 * while.
 */
#include "codec/registry.h"

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/registry_client.h"
#include "codec/schema_source.h"
#include "core/monotonic.h"

enum {
  IDS_MAX = 4096,      /* ids that do not exist cost memory too: a stranger writes them */
  FIRST_WAIT_MS = 500, /* for the answer, at the first record of an id, unless patience_ms is given */
  PAUSE_MS = 200,      /* after a failure; doubles */
  PAUSE_MAX_MS = 5000,
  ABSENT_ANSWERS = 3,     /* until "there is none" is believed */
  ABSENT_AGAIN_MS = 1000, /* between them */
  ABSENT_MS = 60000,      /* how long it is believed */
};

typedef enum entry_state { WANTED = 0, KNOWN, ABSENT } entry_state;

typedef struct entry {
  int32_t id;                      /* less than -1: a number that we have made of a GUID */
  uint8_t guid[FRESHET_GUID_SIZE]; /* of such a schema */
  entry_state state;
  char* json;       /* KNOWN; owned by the table */
  char* why;        /* ABSENT: more than that there is none, or NULL */
  int absent_count; /* answers so far that there is none */
  int64_t due_ms;   /* WANTED: when to ask; ABSENT: until when that is believed */
} entry;

struct freshet_registry {
  freshet_registry_config config; /* its texts are NULL: they were copied */
  freshet_registry_client* client;
  char* folder;
  pthread_t thread;
  bool started;
  pthread_mutex_t lock; /* guards the rest, but the client, which is the thread's */
  pthread_cond_t changed;
  bool stopping;
  entry entries[IDS_MAX];
  size_t count;
  uint64_t version; /* grows with every answer */
};

/* ---- one question ---- */

typedef enum outcome { FOUND, NONE, FAILED } outcome;

static bool is_stopping(freshet_registry* registry) {
  pthread_mutex_lock(&registry->lock);
  bool stopping = registry->stopping;
  pthread_mutex_unlock(&registry->lock);
  return stopping;
}

/* A registry says that there is no such schema with a code of its own. It may also lack a schema that this one refers to;
 * why says so then, and is empty otherwise. */
static outcome ask(freshet_registry* registry, const char* path, char** json, char* why) {
  freshet_registry_answer answer;
  if (!freshet_registry_client_ask(registry->client, path, NULL, &answer, why)) return FAILED;
  outcome result = FAILED;
  if (answer.status == 404 && (answer.error_code == 40403 || answer.error_code == 404)) {
    result = NONE;
  } else if (answer.status != 200) {
    snprintf(why, FRESHET_REGISTRY_WHY_SIZE, "HTTP %ld, error code %lld", answer.status,
             (long long)answer.error_code);
  } else if (json == NULL) {
    result = FOUND;
  } else {
    bool is_final;
    *json = freshet_registry_schema_of(registry->client, answer.json, why, &is_final);
    result = *json != NULL ? FOUND : is_final ? NONE : FAILED;
  }
  json_decref(answer.json);
  return result;
}

/* ---- the thread; with the lock held but while asking ---- */

static entry* find(freshet_registry* registry, int32_t id) {
  for (size_t i = 0; i < registry->count; i++) {
    if (registry->entries[i].id == id) return &registry->entries[i];
  }
  return NULL;
}

static void settle(freshet_registry* registry, entry* e, entry_state state, char* json, const char* why) {
  e->state = state;
  e->json = json;
  free(e->why);
  e->why = state == ABSENT && why[0] != '\0' ? strdup(why) : NULL;
  e->due_ms = freshet_monotonic_ms() + ABSENT_MS;
  registry->version++;
  pthread_cond_broadcast(&registry->changed);
}

/* ---- what was told before ---- */

enum { NAME_SIZE = 48 };

/* What a schema is called at the registry, and in our folder. */
static void write_name(const entry* e, char name[NAME_SIZE]) {
  size_t at = 0;
  if (e->id >= 0) snprintf(name, NAME_SIZE, "%d", (int)e->id);
  for (int i = 0; e->id < 0 && i < FRESHET_GUID_SIZE; i++)
    at += (size_t)snprintf(name + at, NAME_SIZE - at, "%s%02x",
                           i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", e->guid[i]);
}

/* "89791762-2336-4186-9674-299b90a802e2". False: it is none. */
static bool read_guid(const char* name, uint8_t guid[FRESHET_GUID_SIZE]) {
  for (int i = 0; i < FRESHET_GUID_SIZE; i++) {
    unsigned byte;
    if (*name == '-') name++;
    if (sscanf(name, "%2x", &byte) != 1 || name[0] == '\0' || name[1] == '\0') return false;
    guid[i] = (uint8_t)byte;
    name += 2;
  }
  return strcmp(name, ".avsc") == 0;
}

/* A number that no registry gives. Two GUIDs with one number are told apart by whoever finds the entry. */
static int32_t number_of(const uint8_t guid[FRESHET_GUID_SIZE]) {
  uint32_t number = 2166136261u; /* FNV-1a */
  for (int i = 0; i < FRESHET_GUID_SIZE; i++) number = (number ^ guid[i]) * 16777619u;
  return -2 - (int32_t)(number & 0x3fffffff);
}

/* Best effort: without its file the schema is asked for again. */
static void remember(const freshet_registry* registry, const char* name, const char* json) {
  char path[4096], fresh[4096 + 8];
  if (registry->folder == NULL) return;
  snprintf(path, sizeof path, "%s/%s.avsc", registry->folder, name);
  snprintf(fresh, sizeof fresh, "%s.new", path);
  mkdir(registry->folder, 0777);
  FILE* file = fopen(fresh, "we");
  if (file == NULL) return;
  bool written = fputs(json, file) >= 0;
  written = fclose(file) == 0 && written;
  if (!written || rename(fresh, path) != 0) unlink(fresh);
}

static void recall(freshet_registry* registry) {
  DIR* folder = registry->folder == NULL ? NULL : opendir(registry->folder);
  for (const struct dirent* file; folder != NULL && (file = readdir(folder)) != NULL;) {
    char* end = NULL;
    char path[4096 + 256];
    long id = strtol(file->d_name, &end, 10);
    entry e = {.id = (int32_t)id, .state = KNOWN};
    bool is_id = end != file->d_name && strcmp(end, ".avsc") == 0 && id >= 0 && id <= INT32_MAX;
    if (!is_id && read_guid(file->d_name, e.guid)) {
      e.id = number_of(e.guid);
      is_id = true;
    }
    if (!is_id || registry->count == IDS_MAX) continue;
    snprintf(path, sizeof path, "%s/%s", registry->folder, file->d_name);
    if (freshet_schema_read_file(path, &e.json, NULL) == FRESHET_OK) registry->entries[registry->count++] = e;
  }
  if (folder != NULL) closedir(folder);
}

/* Returns the pause before the next question. */
static int64_t ask_for(freshet_registry* registry, int32_t id, int64_t pause_ms) {
  char path[96], name[NAME_SIZE] = "", why[FRESHET_REGISTRY_WHY_SIZE] = "";
  char* json = NULL;
  write_name(find(registry, id), name);
  snprintf(path, sizeof path, "/schemas/%s/%s", id < 0 ? "guids" : "ids", name);
  pthread_mutex_unlock(&registry->lock);
  outcome result = ask(registry, path, &json, why);
  if (result == FOUND) remember(registry, name, json);
  if (result == FAILED && registry->config.trouble != NULL && !is_stopping(registry))
    registry->config.trouble(registry->config.context, why);
  pthread_mutex_lock(&registry->lock);
  entry* e = find(registry, id);
  if (result == FAILED)
    return pause_ms == 0 ? PAUSE_MS : pause_ms > PAUSE_MAX_MS / 2 ? PAUSE_MAX_MS : 2 * pause_ms;
  if (result == NONE && ++e->absent_count < ABSENT_ANSWERS) {
    e->due_ms = freshet_monotonic_ms() + ABSENT_AGAIN_MS;
    return 0;
  }
  settle(registry, e, result == FOUND ? KNOWN : ABSENT, json, why);
  if (registry->config.answered != NULL) registry->config.answered(registry->config.context);
  return 0;
}

static void* run(void* context) {
  freshet_registry* registry = context;
  int64_t pause_ms = 0, next_ms = 0;
  pthread_mutex_lock(&registry->lock);
  while (!registry->stopping) {
    entry* due = NULL;
    for (size_t i = 0; i < registry->count; i++) {
      entry* e = &registry->entries[i];
      if (e->state == WANTED && (due == NULL || e->due_ms < due->due_ms)) due = e;
    }
    int64_t at_ms = due == NULL             ? freshet_monotonic_ms() + PAUSE_MAX_MS
                    : due->due_ms > next_ms ? due->due_ms
                                            : next_ms;
    if (due == NULL || at_ms > freshet_monotonic_ms()) {
      freshet_condition_wait(&registry->changed, &registry->lock, at_ms);
      continue;
    }
    pause_ms = ask_for(registry, due->id, pause_ms);
    next_ms = freshet_monotonic_ms() + pause_ms;
  }
  pthread_mutex_unlock(&registry->lock);
  return NULL;
}

/* ---- the lookup ---- */

/* A place for another id: a free one, else that of the id that was found absent first. NULL: all are wanted or known. */
static entry* make_room(freshet_registry* registry) {
  entry* oldest = NULL;
  if (registry->count < IDS_MAX) return &registry->entries[registry->count++];
  for (size_t i = 0; i < registry->count; i++) {
    entry* e = &registry->entries[i];
    if (e->state == ABSENT && (oldest == NULL || e->due_ms < oldest->due_ms)) oldest = e;
  }
  return oldest;
}

/* Only what is absent is renewed, so there is no text of a schema. */
static void renew(entry* e, int32_t id) {
  free(e->why);
  *e = (entry){.id = id};
}

static entry* want(freshet_registry* registry, int32_t id) {
  const uint32_t patience_ms = registry->config.patience_ms;
  entry* e = find(registry, id);
  if (e == NULL) {
    e = id < 0 ? NULL : make_room(registry); /* of a GUID, id_of_guid has made it */
    if (e == NULL) return NULL;
    renew(e, id);
  } else if (e->state == ABSENT && id < 0) {
    return e;
  } else if (e->state == ABSENT && e->due_ms < freshet_monotonic_ms()) {
    renew(e, id);
  } else if (e->state != WANTED || patience_ms == 0) {
    return e;
  }
  pthread_cond_broadcast(&registry->changed);
  for (int64_t until_ms = freshet_monotonic_ms() + (patience_ms == 0 ? FIRST_WAIT_MS : patience_ms);
       e->state == WANTED && freshet_monotonic_ms() < until_ms && !registry->stopping;)
    freshet_condition_wait(&registry->changed, &registry->lock, until_ms);
  return e;
}

static const char* by_id(void* context, int32_t id) {
  freshet_registry* registry = context;
  const freshet_schema_lookup* fallback = &registry->config.fallback;
  const char* json = fallback->by_id == NULL || id < 0 ? NULL : fallback->by_id(fallback->context, id);
  if (json != NULL) return json;
  pthread_mutex_lock(&registry->lock);
  const entry* e = want(registry, id);
  json = e == NULL || e->state != KNOWN ? NULL : e->json;
  pthread_mutex_unlock(&registry->lock);
  return json;
}

static int32_t id_of_guid(void* context, const uint8_t* guid) {
  freshet_registry* registry = context;
  int32_t id = number_of(guid);
  pthread_mutex_lock(&registry->lock);
  entry* e = find(registry, id);
  if (e == NULL) {
    e = make_room(registry);
    if (e != NULL) {
      renew(e, id);
      memcpy(e->guid, guid, sizeof e->guid);
      pthread_cond_broadcast(&registry->changed);
    }
  } else if (memcmp(e->guid, guid, sizeof e->guid) != 0) {
    id = -1;
  } else if (e->state == ABSENT && e->due_ms < freshet_monotonic_ms()) {
    e->state = WANTED;
    e->absent_count = 0;
    e->due_ms = 0;
    pthread_cond_broadcast(&registry->changed);
  }
  pthread_mutex_unlock(&registry->lock);
  return id;
}

static bool is_pending(void* context, int32_t id) {
  freshet_registry* registry = context;
  pthread_mutex_lock(&registry->lock);
  const entry* e = find(registry, id);
  bool pending = e == NULL || e->state != ABSENT; /* NULL: there is no room yet; KNOWN: since a moment ago */
  pthread_mutex_unlock(&registry->lock);
  return pending;
}

static void why_absent(void* context, int32_t id, char* text, size_t size) {
  freshet_registry* registry = context;
  pthread_mutex_lock(&registry->lock);
  const entry* e = find(registry, id);
  snprintf(text, size, "%s", e == NULL || e->state != ABSENT || e->why == NULL ? "" : e->why);
  pthread_mutex_unlock(&registry->lock);
}

static uint64_t version(void* context) {
  freshet_registry* registry = context;
  pthread_mutex_lock(&registry->lock);
  uint64_t now = registry->version;
  pthread_mutex_unlock(&registry->lock);
  return now;
}

static int32_t id_of(void* context, const char* name) {
  const freshet_schema_lookup* fallback = &((freshet_registry*)context)->config.fallback;
  return fallback->id_of == NULL ? -1 : fallback->id_of(fallback->context, name);
}

freshet_schema_lookup freshet_registry_lookup(freshet_registry* registry) {
  return (freshet_schema_lookup){.by_id = by_id,
                                 .is_pending = is_pending,
                                 .why_absent = why_absent,
                                 .id_of_guid = id_of_guid,
                                 .version = version,
                                 .id_of = id_of,
                                 .context = registry};
}

freshet_status freshet_registry_probe(freshet_registry* registry, freshet_error* error) {
  char why[FRESHET_REGISTRY_WHY_SIZE] = "";
  FRESHET_ASSERT(!registry->started);
  if (ask(registry, "/subjects", NULL, why) == FOUND) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "schema registry: %s", why);
}

/* ---- life ---- */

static char* copy(const char* text) {
  if (text == NULL || text[0] == '\0') return NULL;
  char* copied = strdup(text);
  FRESHET_ASSERT(copied != NULL);
  return copied;
}

freshet_status freshet_registry_create(const freshet_registry_config* config, freshet_registry** out,
                                       freshet_error* error) {
  freshet_registry* registry = calloc(1, sizeof *registry);
  FRESHET_ASSERT(registry != NULL);
  freshet_condition_init(&registry->changed);
  pthread_mutex_init(&registry->lock, NULL);
  registry->config = *config;
  registry->folder = copy(config->folder);
  freshet_status status = freshet_registry_client_create(config, &registry->client, error);
  if (status == FRESHET_OK) {
    recall(registry);
    *out = registry;
  } else {
    freshet_registry_destroy(registry);
  }
  return status;
}

freshet_status freshet_registry_start(freshet_registry* registry, freshet_error* error) {
  registry->started = pthread_create(&registry->thread, NULL, run, registry) == 0;
  if (registry->started) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP,
                           "cannot start the thread of the registry");
}

void freshet_registry_destroy(freshet_registry* registry) {
  if (registry == NULL) return;
  pthread_mutex_lock(&registry->lock);
  registry->stopping = true;
  pthread_cond_broadcast(&registry->changed);
  pthread_mutex_unlock(&registry->lock);
  if (registry->client != NULL) freshet_registry_client_stop(registry->client);
  if (registry->started) pthread_join(registry->thread, NULL);
  for (size_t i = 0; i < registry->count; i++) {
    free(registry->entries[i].json);
    free(registry->entries[i].why);
  }
  freshet_registry_client_destroy(registry->client);
  pthread_cond_destroy(&registry->changed);
  pthread_mutex_destroy(&registry->lock);
  free(registry->folder);
  free(registry);
}
