/*
 * csv.c: the streaming reader of csv.h: bytes to fields, row by row, with the line where each row begins. It
 * owns its buffers and the open file. What a column means it must not know.
 */
#include "commands/csv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "commands/gzip_file.h"

enum { CHUNK_BYTES = 1 << 16, NUMBER_BYTES = 64, END_OF_FILE = -1, BROKEN = -2 };

struct freshet_csv {
  freshet_gzip_file file;
  char* path;
  freshet_error trouble; /* when BROKEN */
  unsigned char chunk[CHUNK_BYTES];
  size_t chunk_at, chunk_end;
  unsigned long line, row_line;
  freshet_buffer row;                   /* the fields of the current row, unquoted, one after the other */
  size_t ends[FRESHET_CSV_COLUMNS_MAX]; /* [fields] where each of them ends in row */
  int fields;
  bool open_ended; /* the current row ends at the end of the file, not at a line end */
  char* names;     /* the fields of the first row */
  size_t name_ends[FRESHET_CSV_COLUMNS_MAX];
  int columns;
};

static int peek_byte(freshet_csv* csv) {
  if (csv->chunk_at == csv->chunk_end) {
    size_t got;
    if (freshet_gzip_read(&csv->file, csv->chunk, CHUNK_BYTES, &got, &csv->trouble) != FRESHET_OK)
      return BROKEN;
    if (got == 0) return END_OF_FILE;
    csv->chunk_at = 0;
    csv->chunk_end = got;
  }
  return csv->chunk[csv->chunk_at];
}

static int next_byte(freshet_csv* csv) {
  int byte = peek_byte(csv);
  if (byte >= 0) csv->chunk_at++;
  if (byte == '\n') csv->line++;
  return byte;
}

static freshet_status fail(const freshet_csv* csv, freshet_error* error, const char* what) {
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s:%lu: %s", csv->path, csv->row_line,
                           what);
}

/* Appends the bytes of the chunk up to the next special byte. Most of a file goes this way. */
static void take_run(freshet_csv* csv, bool inside) {
  const unsigned char* start = csv->chunk + csv->chunk_at;
  const unsigned char* end = csv->chunk + csv->chunk_end;
  const unsigned char* at = start;
  if (inside) {
    while (at < end && *at != '"' && *at != '\n') at++;
  } else {
    while (at < end && *at != ',' && *at != '\n' && *at != '\r') at++;
  }
  freshet_buffer_append(&csv->row, start, (size_t)(at - start));
  csv->chunk_at += (size_t)(at - start);
}

/* Reads one field, up to and including the byte that ends it: ',', '\n' or END_OF_FILE, returned in *end. */
static freshet_status read_field(freshet_csv* csv, int* end, freshet_error* error) {
  bool quoted = peek_byte(csv) == '"';
  bool inside = quoted;
  if (quoted) next_byte(csv);
  for (;;) {
    take_run(csv, inside);
    int byte = next_byte(csv);
    if (byte == BROKEN) return fail(csv, error, csv->trouble.message);
    if (byte == END_OF_FILE && inside) return fail(csv, error, "a quote is opened and never closed");
    if (inside && byte == '"') {
      if (peek_byte(csv) != '"') {
        inside = false;
        continue;
      }
      next_byte(csv); /* two quotes stand for one */
    } else if (!inside) {
      if (byte == '\r' && peek_byte(csv) == '\n') byte = next_byte(csv);
      if (byte == ',' || byte == '\n' || byte == END_OF_FILE) {
        *end = byte;
        return FRESHET_OK;
      }
    }
    if (csv->row.size >= FRESHET_CSV_ROW_MAX) return fail(csv, error, "the row is too long");
    char letter = (char)byte;
    freshet_buffer_append(&csv->row, &letter, 1);
  }
}

/* Reads one row that is not empty. */
static freshet_status read_row(freshet_csv* csv, bool* more, freshet_error* error) {
  int end = ',';
  do {
    csv->row.size = 0;
    csv->fields = 0;
    csv->row_line = csv->line;
    *more = peek_byte(csv) != END_OF_FILE;
    if (!*more) return FRESHET_OK;
    do {
      freshet_status status = read_field(csv, &end, error);
      if (status != FRESHET_OK) return status;
      if (csv->fields == FRESHET_CSV_COLUMNS_MAX) return fail(csv, error, "the row has too many columns");
      csv->ends[csv->fields++] = csv->row.size;
    } while (end == ',');
  } while (csv->fields == 1 && csv->row.size == 0);
  csv->open_ended = end == END_OF_FILE;
  return FRESHET_OK;
}

static void skip_byte_order_mark(freshet_csv* csv) {
  static const unsigned char mark[3] = {0xEF, 0xBB, 0xBF};
  if (peek_byte(csv) >= 0 && csv->chunk_end >= 3 && memcmp(csv->chunk, mark, 3) == 0) csv->chunk_at = 3;
}

static freshet_status read_names(freshet_csv* csv, freshet_error* error) {
  bool more = false;
  skip_byte_order_mark(csv);
  freshet_status status = read_row(csv, &more, error);
  if (status != FRESHET_OK) return status;
  if (!more) return fail(csv, error, "the file is empty; its first row should name the columns");
  if (memchr(csv->row.data, '\0', csv->row.size) != NULL) {
    return fail(csv, error, "the file is not UTF-8 text (UTF-16? `iconv -f UTF-16 -t UTF-8` converts it)");
  }
  csv->names = malloc(csv->row.size + 1);
  FRESHET_ASSERT(csv->names != NULL);
  if (csv->row.size > 0) memcpy(csv->names, csv->row.data, csv->row.size);
  memcpy(csv->name_ends, csv->ends, sizeof csv->ends);
  csv->columns = csv->fields;
  return FRESHET_OK;
}

freshet_status freshet_csv_open(const char* path, freshet_csv** csv, freshet_error* error) {
  *csv = NULL;
  freshet_csv* opened = calloc(1, sizeof *opened);
  FRESHET_ASSERT(opened != NULL);
  freshet_status status = freshet_gzip_open(path, &opened->file, error);
  opened->path = strdup(path);
  FRESHET_ASSERT(opened->path != NULL);
  opened->line = 1;
  if (status == FRESHET_OK) status = read_names(opened, error);
  if (status != FRESHET_OK) {
    freshet_csv_close(opened);
    return status;
  }
  *csv = opened;
  return FRESHET_OK;
}

void freshet_csv_close(freshet_csv* csv) {
  if (csv == NULL) return;
  freshet_gzip_close(&csv->file);
  freshet_buffer_free(&csv->row);
  free(csv->names);
  free(csv->path);
  free(csv);
}

int freshet_csv_columns(const freshet_csv* csv) {
  return csv->columns;
}

freshet_slice freshet_csv_name(const freshet_csv* csv, int column) {
  size_t start = column == 0 ? 0 : csv->name_ends[column - 1];
  return (freshet_slice){csv->names + start, csv->name_ends[column] - start};
}

int freshet_csv_column(const freshet_csv* csv, const char* name) {
  for (int i = 0; i < csv->columns; i++) {
    if (freshet_slice_equal(freshet_csv_name(csv, i), freshet_slice_of(name))) return i;
  }
  return -1;
}

freshet_status freshet_csv_next(freshet_csv* csv, bool* more, freshet_error* error) {
  return read_row(csv, more, error);
}

freshet_slice freshet_csv_field(const freshet_csv* csv, int column) {
  if (column < 0 || column >= csv->fields) return (freshet_slice){NULL, 0};
  size_t start = column == 0 ? 0 : csv->ends[column - 1];
  return (freshet_slice){(const char*)csv->row.data + start, csv->ends[column] - start};
}

int freshet_csv_fields(const freshet_csv* csv) {
  return csv->fields;
}

bool freshet_csv_unfinished(const freshet_csv* csv) {
  return csv->open_ended && csv->file.grown_bytes > 0;
}

unsigned long freshet_csv_line(const freshet_csv* csv) {
  return csv->row_line;
}

double freshet_csv_progress(const freshet_csv* csv) {
  return freshet_gzip_progress(&csv->file);
}

/* The number parsers of the C library need a NUL at the end. */
static bool copy_number(freshet_slice field, char text[NUMBER_BYTES]) {
  if (field.size == 0 || field.size >= NUMBER_BYTES || memchr(field.data, '\0', field.size) != NULL) {
    return false;
  }
  memcpy(text, field.data, field.size);
  text[field.size] = '\0';
  return true;
}

bool freshet_csv_integer(freshet_slice field, long long* value) {
  char text[NUMBER_BYTES];
  char* end;
  if (!copy_number(field, text)) return false;
  errno = 0;
  *value = strtoll(text, &end, 10);
  return errno == 0 && *end == '\0';
}

bool freshet_csv_real(freshet_slice field, double* value) {
  char text[NUMBER_BYTES];
  char* end;
  if (!copy_number(field, text)) return false;
  *value = strtod(text, &end);
  return *end == '\0' && isfinite(*value);
}
