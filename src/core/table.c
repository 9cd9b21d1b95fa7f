/* table.c: see table.h. Pages that nobody may use yet are reserved without access, so that they count as no memory, not even
 * where the system promises no more than it has (vm.overcommit_memory = 2). */
#include "core/table.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "freshet/status.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif

static const size_t page = 65536;               /* a multiple of every page size of x86-64 and arm64 */
static const size_t start_at = (size_t)2 << 20; /* a multiple of a huge page */
static const size_t most_elements = (size_t)1 << 26;
static const size_t most_bytes = (size_t)64 << 30;

enum { LEAST = 1024 };

/* In the page before the table. */
typedef struct head {
  char* region;          /* [2 start_at + reserved] with this page and the table in it */
  size_t reserved, open; /* bytes of the table: with address space, and with access */
} head;

static head* head_of(void* table) {
  return (head*)(void*)((char*)table - page);
}

static size_t whole_pages(size_t bytes) {
  return (bytes + page - 1) / page * page;
}

/* Where address space is limited, a table must not take that of others. */
static bool is_limited(void) {
  struct rlimit limit;
  return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

/* Address space for at least `bytes`, and for `wished` if there is so much. NULL: there is none. */
static void* reserve(size_t bytes, size_t wished) {
  size_t reserved = wished > bytes ? whole_pages(wished) : bytes;
  char* region;
  for (;;) {
    region =
        mmap(NULL, 2 * start_at + reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region != MAP_FAILED) break;
    if (reserved == bytes) return NULL;
    reserved = reserved / 2 > bytes ? whole_pages(reserved / 2) : bytes;
  }
  char* table = region + 2 * start_at - (uintptr_t)region % start_at;
  if (mprotect(table - page, page, PROT_READ | PROT_WRITE) != 0) {
    munmap(region, 2 * start_at + reserved);
    return NULL;
  }
  madvise(table, reserved, MADV_HUGEPAGE); /* advice: may fail without harm */
  *head_of(table) = (head){.region = region, .reserved = reserved};
  return table;
}

static bool open_up(void* table, size_t bytes) {
  head* h = head_of(table);
  if (bytes <= h->open) return true;
  if (mprotect((char*)table + h->open, bytes - h->open, PROT_READ | PROT_WRITE) != 0) return false;
  h->open = bytes;
  return true;
}

/* AddressSanitizer finds who reads beyond the elements. */
static void close_tail(void* table, size_t bytes) {
  ASAN_UNPOISON_MEMORY_REGION(table, bytes);
  ASAN_POISON_MEMORY_REGION((char*)table + bytes, head_of(table)->open - bytes);
}

/* A new table with what was in the old one, or NULL. */
static void* move(void* table, size_t needed, size_t wished) {
  void* moved = reserve(needed, wished);
  if (moved == NULL) return NULL;
  if (!open_up(moved, needed)) {
    freshet_table_free(moved);
    return NULL;
  }
  if (table != NULL) {
    ASAN_UNPOISON_MEMORY_REGION(table, head_of(table)->open);
    memcpy(moved, table, head_of(table)->open);
    freshet_table_free(table);
  }
  return moved;
}

void* freshet_table_grow(void* table, size_t count, size_t size) {
  FRESHET_ASSERT(size > 0 && count <= SIZE_MAX / 4 / size);
  const size_t needed = whole_pages(count * size);
  if (table == NULL) {
    const size_t most = most_elements < most_bytes / size ? most_elements * size : most_bytes;
    table = move(NULL, needed, is_limited() ? 2 * needed : most);
  } else if (needed > head_of(table)->reserved) {
    table = move(table, needed, 2 * needed);
  } else if (!open_up(table, needed)) {
    return NULL;
  }
  if (table != NULL) close_tail(table, count * size);
  return table;
}

void* freshet_table_reach(void* table, size_t* capacity, size_t needed, size_t size) {
  if (needed <= *capacity) return table;
  size_t count = needed + needed / 4;
  if (count < LEAST) count = LEAST;
  void* grown = freshet_table_grow(table, count, size);
  FRESHET_ASSERT(grown != NULL);
  *capacity = count;
  return grown;
}

void freshet_table_free(void* table) {
  if (table == NULL) return;
  const head own = *head_of(table);
  ASAN_UNPOISON_MEMORY_REGION(table, own.open);
  munmap(own.region, 2 * start_at + own.reserved);
}
