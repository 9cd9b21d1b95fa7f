/*
 * fuzz_input.c: any bytes as a file of history, with options that its first bytes choose: every record is taken,
 * rejected, or ends the file with a message; nothing crashes or hangs.
 *
 * Byte 0: format and kind of records. Bytes 1 and 2: a bit for each option. Then the file.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "commands/input/input_census.h"
#include "commands/input/input_stages.h"

enum { HEAD = 3, RECORDS_MAX = 20000, PATH_SIZE = 64 };

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

static void choose(freshet_input_options* options, const uint8_t* head) {
  static const struct {
    int code;
    const char* value;
  } known[] = {
      {FRESHET_INPUT_KEEP_BLANKS, NULL},
      {FRESHET_INPUT_DECIMAL_COMMA, NULL},
      {FRESHET_INPUT_DERIVE_IDS, NULL},
      {FRESHET_INPUT_PYTHON, NULL},
      {FRESHET_INPUT_ENCODING, "utf-16"},
      {FRESHET_INPUT_ENCODING, "windows-1252"},
      {FRESHET_INPUT_ENCODING, "utf-8,latin1"},
      {FRESHET_INPUT_COLUMNS, "user_id,item_id,occurred_at,?a,title*"},
      {FRESHET_INPUT_QUOTE, "none"},
      {FRESHET_INPUT_ESCAPE, "\\"},
      {FRESHET_INPUT_SEPARATOR, "::"},
      {FRESHET_INPUT_EACH, "item_id, ,-1"},
      {FRESHET_INPUT_HEADING, "item_id"},
      {FRESHET_INPUT_TIME_FORMAT, "%d/%m/%Y %H:%M:%S.%f %z"},
      {FRESHET_INPUT_MISSING, "NULL,value=0"},
      {FRESHET_INPUT_MAP, "user_id=a.b.0,item_id=x"},
  };
  static const char* const formats[] = {NULL, "csv", "jsonl", "json", "avro"};
  unsigned bits = head[1] | (unsigned)head[2] << 8;
  freshet_input_options_init(options);
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if ((bits & 1u << i) != 0) freshet_input_options_take(options, known[i].code, known[i].value, NULL);
  }
  options->format = formats[head[0] % 5];
}

static void read_all(freshet_input_reader* reader) {
  freshet_census* census = freshet_census_create();
  freshet_buffer row = {0};
  bool more = true, repeats;
  for (int i = 0; i < RECORDS_MAX && more; i++) {
    freshet_input_record record = {0};
    freshet_error why = {0};
    freshet_status status = reader->vtable->next(reader, &record, &more, &why);
    if (status == FRESHET_OK && more) freshet_census_take(census, &record, &repeats);
    if (status == FRESHET_OK) continue;
    FRESHET_ASSERT(why.message[0] != '\0');
    if (why.verdict != FRESHET_DEAD_LETTER) break;
    row.size = 0;
    freshet_input_row(reader, &row);
    freshet_census_reject(census, "f", &record, why.message);
  }
  json_decref(freshet_census_json(census));
  freshet_buffer_free(&row);
  freshet_census_destroy(census);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < HEAD) return 0;
  int file = memfd_create("fuzz", 0);
  if (file < 0 || write(file, data + HEAD, size - HEAD) != (ssize_t)(size - HEAD)) abort();
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  freshet_input_options options;
  choose(&options, data);
  freshet_input input = {
      .path = path, .expect = (freshet_input_expect)(data[0] / 5 % 3), .options = &options, .is_alone = true};
  freshet_input_wish wish = {
      .limits = {.rating_min = 1, .rating_max = 5}, .types = 7, .window = data[0] / 15 % 4};
  freshet_input_reader* reader = NULL;
  freshet_error error = {0};
  if (freshet_input_open(&input, &wish, &reader, &error) == FRESHET_OK) {
    read_all(reader);
    reader->vtable->close(reader);
  } else {
    FRESHET_ASSERT(error.message[0] != '\0' && error.verdict == FRESHET_STOP);
  }
  close(file);
  return 0;
}
