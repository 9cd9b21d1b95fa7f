/*
 * replay_reader.c: finds out which format an input has, by its first bytes, and opens the reader for it. It
 * owns nothing: the caller closes the reader.
 */
#include "commands/replay/replay_reader.h"

#include <sys/stat.h>

#include "commands/gzip_file.h"
#include "commands/replay/replay_dataset.h"

enum { HEAD_BYTES = 64 };

/* Looks at the first bytes, which can only be done to a regular file: a pipe would lose them. */
static freshet_status detect(const char* path, freshet_replay_format* format, freshet_error* error) {
  *format = FRESHET_REPLAY_CSV;
  struct stat facts;
  if (stat(path, &facts) != 0 || !S_ISREG(facts.st_mode)) return FRESHET_OK;
  freshet_gzip_file file;
  freshet_status status = freshet_gzip_open(path, &file, error);
  if (status != FRESHET_OK) return status;
  char head[HEAD_BYTES];
  int size = gzread(file.file, head, sizeof head);
  freshet_gzip_close(&file);
  int at = size >= 3 && memcmp(head, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0; /* a byte order mark */
  while (at < size && strchr(" \t\r\n", head[at]) != NULL) at++;
  if (size >= 4 && memcmp(head, "Obj\1", 4) == 0) {
    *format = FRESHET_REPLAY_AVRO;
  } else if (at < size && head[at] == '{') {
    *format = FRESHET_REPLAY_JSONL;
  }
  return FRESHET_OK;
}

freshet_status freshet_replay_reader_open(const freshet_replay_input* input, freshet_replay_reader** reader,
                                          freshet_error* error) {
  if (strncmp(input->path, FRESHET_REPLAY_KAFKA, strlen(FRESHET_REPLAY_KAFKA)) == 0) {
    return freshet_replay_topic_open(input, reader, error);
  }
  freshet_replay_format format = input->format;
  freshet_status status = format == FRESHET_REPLAY_AUTO ? detect(input->path, &format, error) : FRESHET_OK;
  if (status != FRESHET_OK) return status;
  switch (format) {
    case FRESHET_REPLAY_JSONL:
      return freshet_replay_jsonl_open(input, reader, error);
    case FRESHET_REPLAY_AVRO:
      return freshet_replay_avro_open(input, reader, error);
    case FRESHET_REPLAY_MOVIELENS:
    case FRESHET_REPLAY_NETFLIX:
    case FRESHET_REPLAY_RETAILROCKET:
      return freshet_replay_dataset_open(input, reader, error);
    case FRESHET_REPLAY_CSV:
    case FRESHET_REPLAY_AUTO:
      break;
  }
  return freshet_replay_csv_open(input, reader, error);
}

bool freshet_replay_reader_place(const freshet_replay_reader* reader, freshet_buffer* text) {
  return reader->vtable->place != NULL && reader->vtable->place(reader, text);
}
