/*
 * input_archive.c: libarchive behind input_archive.h. A zip that can be sought is listed first, so that an
 * archive of several files is refused before anything of it is published.
 */
#include "commands/input/input_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED_SIZE = 240, UNPACK_STEP = 1 << 16, ZIP_END_MAX = 22 + 65535 };

struct freshet_archive {
  freshet_archive_source source;
  struct archive* reader;
  bool ended;
};

const char* freshet_archive_kind(freshet_slice head) {
  static const struct {
    const char* magic;
    size_t size;
    const char* name;
  } kinds[] = {{"\x28\xb5\x2f\xfd", 4, "zstd"},
               {"\xfd"
                "7zXZ\0",
                6, "xz"},
               {"PK\3\4", 4, "zip"},
               {"PK\5\6", 4, "zip"}};
  bool is_bzip2 =
      head.size >= 10 && memcmp(head.data, "BZh", 3) == 0 &&
      (memcmp(head.data + 4, "1AY&SY", 6) == 0 || memcmp(head.data + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0);
  if (is_bzip2) return "bzip2";
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    if (head.size >= kinds[i].size && memcmp(head.data, kinds[i].magic, kinds[i].size) == 0)
      return kinds[i].name;
  }
  return NULL;
}

static ssize_t on_read(struct archive* reader, void* context, const void** bytes) {
  const freshet_archive* archive = context;
  ssize_t size = archive->source.read(archive->source.context, bytes);
  if (size < 0) archive_set_error(reader, -1, "the file cannot be read");
  return size;
}

static la_int64_t on_seek(struct archive* reader, void* context, la_int64_t offset, int whence) {
  const freshet_archive* archive = context;
  (void)reader;
  return archive->source.seek(archive->source.context, offset, whence);
}

static freshet_status broken(const freshet_archive* archive, freshet_error* error) {
  const char* why = archive_error_string(archive->reader);
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "the compressed file is broken or cut off (%s)", why == NULL ? "no reason" : why);
}

static void close_reader(freshet_archive* archive) {
  if (archive->reader != NULL) archive_read_free(archive->reader);
  archive->reader = NULL;
}

static freshet_status open_reader(freshet_archive* archive, freshet_error* error) {
  struct archive* reader = archive->reader = archive_read_new();
  FRESHET_ASSERT(reader != NULL);
  archive_read_support_filter_bzip2(reader);
  archive_read_support_filter_xz(reader);
  archive_read_support_filter_zstd(reader);
  archive_read_support_format_zip(reader);
  archive_read_support_format_raw(reader);
  archive_read_set_callback_data(reader, archive);
  archive_read_set_read_callback(reader, on_read);
  if (archive->source.seek != NULL) archive_read_set_seek_callback(reader, on_seek);
  return archive_read_open1(reader) == ARCHIVE_OK ? FRESHET_OK : broken(archive, error);
}

static bool is_excel(const char* name) {
  return strcmp(name, "xl/workbook.xml") == 0 || strcmp(name, "xl/workbook.bin") == 0;
}

/* Folders and the notes of macOS are no files of the user. */
static bool is_file(struct archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  return name == NULL || (archive_entry_filetype(entry) != AE_IFDIR && strncmp(name, "__MACOSX/", 9) != 0 &&
                          strstr(name, ".DS_Store") == NULL);
}

static freshet_status refuse_several(const freshet_archive* archive, const char* first, const char* names,
                                     freshet_error* error) {
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "%s is an archive of several files (%s): take one of them, as in `unzip -p %s "
                           "'%s' | freshet replay --events -`",
                           archive->source.path, names, archive->source.path, first);
}

static freshet_status refuse_excel(const freshet_archive* archive, freshet_error* error) {
  return freshet_error_set(
      error, FRESHET_INVALID, FRESHET_STOP,
      "%s is an Excel workbook, which is not read: save the sheet as CSV, or `python3 -c "
      "\"import pandas; pandas.read_excel('%s').to_csv('events.csv', index=False)\"`",
      archive->source.path, archive->source.path);
}

/* The first file; *found false when there is none. An unpacked stream has one file without a name. */
static freshet_status next_file(freshet_archive* archive, struct archive_entry** entry, bool* found,
                                freshet_error* error) {
  for (;;) {
    int code = archive_read_next_header(archive->reader, entry);
    *found = code != ARCHIVE_EOF;
    if (code == ARCHIVE_EOF) return FRESHET_OK;
    if (code < ARCHIVE_WARN) return broken(archive, error);
    if (is_file(*entry)) return FRESHET_OK;
  }
}

/* A zip ends with its list of files, and that with a mark; without it the file is cut off. */
static bool has_end(const freshet_archive* archive) {
  const freshet_archive_source* source = &archive->source;
  int64_t size = source->seek(source->context, 0, SEEK_END);
  int64_t from = size > ZIP_END_MAX ? size - ZIP_END_MAX : 0;
  if (size < 0 || source->seek(source->context, from, SEEK_SET) != from) return false;
  freshet_buffer tail = {0};
  const void* bytes;
  ssize_t got;
  while ((got = source->read(source->context, &bytes)) > 0) freshet_buffer_append(&tail, bytes, (size_t)got);
  bool found = tail.size > 4 && memmem(tail.data, tail.size, "PK\5\6", 4) != NULL;
  freshet_buffer_free(&tail);
  return found && source->seek(source->context, 0, SEEK_SET) == 0;
}

/* Looks over a zip that can be sought, and goes back to its beginning. */
static freshet_status look_over(freshet_archive* archive, freshet_error* error) {
  char names[LISTED_SIZE] = "", first[LISTED_SIZE] = "";
  size_t count = 0, at = 0;
  bool found = true, excel = false;
  if (!has_end(archive)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "the compressed file is broken or cut off (a zip without its end)");
  }
  freshet_status status = open_reader(archive, error);
  while (status == FRESHET_OK && found) {
    struct archive_entry* entry;
    status = next_file(archive, &entry, &found, error);
    if (status != FRESHET_OK || !found) break;
    const char* name = archive_entry_pathname(entry);
    if (name == NULL) name = "?";
    excel = excel || is_excel(name);
    if (count++ == 0) snprintf(first, sizeof first, "%s", name);
    if (at < sizeof names)
      at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", at == 0 ? "" : ", ", name);
  }
  close_reader(archive);
  if (status != FRESHET_OK) return status;
  if (excel) return refuse_excel(archive, error);
  if (count > 1) return refuse_several(archive, first, names, error);
  return archive->source.seek(archive->source.context, 0, SEEK_SET) == 0
             ? FRESHET_OK
             : freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "%s cannot be sought",
                                 archive->source.path);
}

freshet_status freshet_archive_open(const freshet_archive_source* source, freshet_archive** out,
                                    freshet_error* error) {
  freshet_archive* archive = calloc(1, sizeof *archive);
  FRESHET_ASSERT(archive != NULL);
  archive->source = *source;
  freshet_status status = source->seek != NULL && source->is_zip ? look_over(archive, error) : FRESHET_OK;
  if (status == FRESHET_OK) status = open_reader(archive, error);
  struct archive_entry* entry = NULL;
  bool found = true;
  if (status == FRESHET_OK) status = next_file(archive, &entry, &found, error);
  if (status == FRESHET_OK && !found) {
    status = freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s is an archive without a file",
                               source->path);
  }
  if (status == FRESHET_OK && archive_entry_pathname(entry) != NULL &&
      strcmp(archive_entry_pathname(entry), "[Content_Types].xml") == 0) {
    status = refuse_excel(archive, error);
  }
  if (status != FRESHET_OK) {
    freshet_archive_close(archive);
    return status;
  }
  *out = archive;
  return FRESHET_OK;
}

void freshet_archive_close(freshet_archive* archive) {
  if (archive == NULL) return;
  close_reader(archive);
  free(archive);
}

/* Of a pipe it is only known here that a second file follows. */
static freshet_status check_last(freshet_archive* archive, freshet_error* error) {
  struct archive_entry* entry;
  bool found;
  archive->ended = true;
  freshet_status status = next_file(archive, &entry, &found, error);
  if (status != FRESHET_OK || !found) return status;
  const char* name = archive_entry_pathname(entry);
  return refuse_several(archive, name == NULL ? "?" : name, name == NULL ? "?" : name, error);
}

freshet_status freshet_archive_read(freshet_archive* archive, void* bytes, size_t size, size_t* got,
                                    freshet_error* error) {
  *got = 0;
  if (archive->ended) return FRESHET_OK;
  la_ssize_t count = archive_read_data(archive->reader, bytes, size);
  if (count < 0) return broken(archive, error);
  *got = (size_t)count;
  return count > 0 ? FRESHET_OK : check_last(archive, error);
}

freshet_status freshet_archive_unpack(freshet_slice packed, size_t most, freshet_buffer* out,
                                      freshet_error* error) {
  freshet_archive archive = {.reader = archive_read_new()};
  struct archive_entry* entry;
  FRESHET_ASSERT(archive.reader != NULL);
  archive_read_support_filter_bzip2(archive.reader);
  archive_read_support_filter_xz(archive.reader);
  archive_read_support_filter_zstd(archive.reader);
  archive_read_support_format_raw(archive.reader);
  bool fine = archive_read_open_memory(archive.reader, packed.data, packed.size) == ARCHIVE_OK &&
              archive_read_next_header(archive.reader, &entry) == ARCHIVE_OK;
  la_ssize_t got = 1;
  while (fine && got > 0 && out->size <= most) {
    uint8_t* room = freshet_buffer_reserve(out, UNPACK_STEP);
    got = archive_read_data(archive.reader, room, UNPACK_STEP);
    if (got > 0) out->size += (size_t)got;
  }
  fine = fine && got == 0;
  freshet_status status = fine ? FRESHET_OK : broken(&archive, error);
  close_reader(&archive);
  return status;
}
