/*
 * input_csv.c: the reader of input_csv.h. Most bytes of every file mean nothing to it, so runs of them are copied
 * at once; the others are looked at one by one.
 */
#include "commands/input/input_csv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "commands/input/input_lists.h"

enum { CHUNK_BYTES = 1 << 16, AHEAD_BYTES = 16, NUMBER_BYTES = 64, END_OF_FILE = -1, BROKEN = -2 };

struct freshet_csv {
  freshet_bytes* bytes;
  char* path;
  freshet_csv_dialect dialect;
  size_t separator_size;
  char row_end;          /* what ends a row: LF or CR */
  bool stops[2][256];    /* outside, inside of quotes: the bytes that mean something */
  bool takes_rest;       /* the last column does */
  freshet_error trouble; /* when BROKEN */
  unsigned char chunk[CHUNK_BYTES];
  size_t chunk_at, chunk_end;
  bool ended;
  unsigned long line, row_line;
  freshet_buffer row, spare;            /* the fields of the current row, unquoted, one after the other */
  size_t ends[FRESHET_CSV_COLUMNS_MAX]; /* [fields] where each of them ends in row */
  int fields;
  bool open_ended; /* the current row ends with the file, not with a line end */
  char* names;     /* the fields of the first row */
  size_t name_ends[FRESHET_CSV_COLUMNS_MAX];
  int columns;
};

/* ---- bytes ---- */

/* Makes `count` bytes visible behind the place, as many as there are. False: the file is broken. */
static bool look_ahead(freshet_csv* csv, size_t count) {
  while (csv->chunk_end - csv->chunk_at < count && !csv->ended) {
    size_t left = csv->chunk_end - csv->chunk_at, got;
    memmove(csv->chunk, csv->chunk + csv->chunk_at, left);
    csv->chunk_at = 0;
    csv->chunk_end = left;
    if (freshet_bytes_read(csv->bytes, csv->chunk + left, CHUNK_BYTES - left, &got, &csv->trouble) !=
        FRESHET_OK)
      return false;
    csv->chunk_end += got;
    csv->ended = got == 0;
  }
  return true;
}

static int peek_byte(freshet_csv* csv) {
  if (csv->chunk_at == csv->chunk_end && !look_ahead(csv, 1)) return BROKEN;
  return csv->chunk_at == csv->chunk_end ? END_OF_FILE : csv->chunk[csv->chunk_at];
}

static int next_byte(freshet_csv* csv) {
  int byte = peek_byte(csv);
  if (byte >= 0) csv->chunk_at++;
  if (byte == csv->row_end) csv->line++;
  return byte;
}

/* The byte at a distance, END_OF_FILE behind the end. Within AHEAD_BYTES. */
static int byte_at(freshet_csv* csv, size_t distance) {
  if (csv->chunk_end - csv->chunk_at <= distance && !look_ahead(csv, AHEAD_BYTES)) return BROKEN;
  return csv->chunk_end - csv->chunk_at <= distance ? END_OF_FILE : csv->chunk[csv->chunk_at + distance];
}

static freshet_status fail(const freshet_csv* csv, freshet_error* error, const char* what) {
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s:%lu: %s", csv->path, csv->row_line,
                           what);
}

/* ---- fields ---- */

/* Appends the bytes of the chunk up to the next one that means something: most of every file. */
static void take_run(freshet_csv* csv, bool inside) {
  const bool* stops = csv->stops[inside];
  const unsigned char* start = csv->chunk + csv->chunk_at;
  const unsigned char* end = csv->chunk + csv->chunk_end;
  const unsigned char* at = start;
  while (at < end && !stops[*at]) at++;
  if (at == start) return;
  freshet_buffer_append(&csv->row, start, (size_t)(at - start));
  csv->chunk_at += (size_t)(at - start);
}

static bool is_separator(freshet_csv* csv, size_t distance) {
  for (size_t i = 0; i < csv->separator_size; i++) {
    if (byte_at(csv, distance + i) != (unsigned char)csv->dialect.separator[i]) return false;
  }
  return true;
}

/* Does a field end at this distance? */
static bool is_field_end(freshet_csv* csv, size_t distance) {
  int byte = byte_at(csv, distance);
  return byte < 0 || byte == '\n' || byte == '\r' || is_separator(csv, distance);
}

/* At an escape character: does it stand before a byte that it makes an ordinary one? What only looks like an
 * escape, such as the end of "C:\", is told by what follows the quote. */
static bool is_escape(freshet_csv* csv, bool inside) {
  int after = byte_at(csv, 1);
  if (csv->dialect.escape == FRESHET_CSV_ESCAPE_CHAR) {
    return after == '"' || after == (unsigned char)csv->dialect.escape_char ||
           (!inside && (is_separator(csv, 1) || after == '\n'));
  }
  if (!inside || after != '"') return false;
  bool sure = !is_field_end(csv, 2) && byte_at(csv, 2) != '"';
  bool likely = byte_at(csv, 2) == '"' && is_field_end(csv, 3);
  if (sure || likely) csv->dialect.escape = FRESHET_CSV_ESCAPE_CHAR;
  return sure || likely;
}

/* Blanks before a quote belong to no field, as in `a, "b, c"`. */
static bool begins_quoted(freshet_csv* csv) {
  if (csv->dialect.no_quotes) return false;
  int first = peek_byte(csv);
  if (first != '"' && first != ' ') return false;
  size_t blanks = 0;
  while (blanks < AHEAD_BYTES / 2 && byte_at(csv, blanks) == ' ') blanks++;
  if (byte_at(csv, blanks) != '"') return false;
  csv->chunk_at += blanks + 1;
  return true;
}

enum { FIELD_ENDED = 1, ROW_ENDED, FILE_ENDED };

/* What an unquoted byte ends; 0: nothing. What ends is taken. */
static int take_end(freshet_csv* csv, int byte) {
  if (byte == END_OF_FILE) return FILE_ENDED;
  if (byte == csv->row_end) {
    next_byte(csv);
    return ROW_ENDED;
  }
  if (byte == '\r' && byte_at(csv, 1) == '\n') {
    csv->chunk_at++;
    next_byte(csv);
    return ROW_ENDED;
  }
  bool is_last = csv->takes_rest && csv->fields == csv->columns - 1;
  if (is_last || byte != (unsigned char)csv->dialect.separator[0] || !is_separator(csv, 0)) return 0;
  csv->chunk_at += csv->separator_size;
  return FIELD_ENDED;
}

/* Inside of quotes: takes a quote, or an escape and what it stands before. False: an ordinary byte. */
static bool take_quote(freshet_csv* csv, int byte, bool* inside) {
  if (byte != '"') return false;
  if (byte_at(csv, 1) == '"') { /* two quotes stand for one */
    csv->chunk_at++;
    return false;
  }
  csv->chunk_at++;
  *inside = false;
  return true;
}

/* Reads one field up to and including what ends it. */
static freshet_status read_field(freshet_csv* csv, int* end, freshet_error* error) {
  bool inside = begins_quoted(csv);
  for (;;) {
    take_run(csv, inside);
    int byte = peek_byte(csv);
    if (byte == BROKEN) return fail(csv, error, csv->trouble.message);
    if (byte == END_OF_FILE && inside) return fail(csv, error, "a quote is opened and never closed");
    if (!inside && (*end = take_end(csv, byte)) != 0) return FRESHET_OK;
    if (byte == csv->dialect.escape_char && csv->dialect.escape != FRESHET_CSV_ESCAPE_NONE && byte != 0 &&
        is_escape(csv, inside)) {
      csv->chunk_at++;
    } else if (inside && take_quote(csv, byte, &inside)) {
      continue;
    }
    if (csv->row.size >= FRESHET_CSV_ROW_MAX) return fail(csv, error, "the row is too long");
    char letter = (char)next_byte(csv);
    freshet_buffer_append(&csv->row, &letter, 1);
  }
}

/* The older files of some sets are in ISO 8859-1, the newer ones in UTF-8, under the same names. */
static void decode_latin1(freshet_csv* csv) {
  if (freshet_slice_is_utf8(freshet_buffer_slice(&csv->row))) return;
  csv->spare.size = 0;
  size_t at = 0;
  for (int f = 0; f < csv->fields; f++) {
    for (; at < csv->ends[f]; at++) {
      unsigned char letter = csv->row.data[at];
      unsigned char two[2] = {(unsigned char)(0xc0 | letter >> 6), (unsigned char)(0x80 | (letter & 0x3f))};
      freshet_buffer_append(&csv->spare, letter < 0x80 ? &letter : two, letter < 0x80 ? 1 : 2);
    }
    csv->ends[f] = csv->spare.size;
  }
  freshet_buffer swap = csv->row;
  csv->row = csv->spare;
  csv->spare = swap;
}

/* Reads one row that is not empty. */
static freshet_status read_row(freshet_csv* csv, bool* more, freshet_error* error) {
  int end = 0;
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
    } while (end == FIELD_ENDED);
  } while (csv->fields == 1 && freshet_text_trim(freshet_buffer_slice(&csv->row)).size == 0);
  csv->open_ended = end == FILE_ENDED;
  if (csv->dialect.latin1_rows) decode_latin1(csv);
  return FRESHET_OK;
}

/* ---- opening ---- */

static void skip_byte_order_mark(freshet_csv* csv) {
  static const unsigned char mark[3] = {0xEF, 0xBB, 0xBF};
  if (look_ahead(csv, 3) && csv->chunk_end - csv->chunk_at >= 3 &&
      memcmp(csv->chunk + csv->chunk_at, mark, 3) == 0)
    csv->chunk_at += 3;
}

/* "sep=;" in front of the row of names, as Excel writes and reads it, tells the separator. Returns its size. */
static size_t take_separator_line(freshet_csv_dialect* dialect, freshet_slice head) {
  if (head.size >= 3 && memcmp(head.data, "\xEF\xBB\xBF", 3) == 0)
    head = (freshet_slice){head.data + 3, head.size - 3};
  if (head.size < 6 || strncasecmp(head.data, "sep=", 4) != 0) return 0;
  size_t size = head.data[5] == '\r' && head.size > 6 ? 7 : 6;
  if (head.data[size - 1] != '\n') return 0;
  if (dialect->separator[0] == '\0') dialect->separator[0] = head.data[4];
  return size;
}

static void keep_names(freshet_csv* csv, const char* text, size_t size) {
  csv->names = malloc(size + 1);
  FRESHET_ASSERT(csv->names != NULL);
  if (size > 0) memcpy(csv->names, text, size);
}

static freshet_status take_given_names(freshet_csv* csv, freshet_error* error) {
  const char* text = csv->dialect.names;
  size_t size = strlen(text);
  csv->takes_rest = size > 0 && text[size - 1] == '*';
  size -= csv->takes_rest;
  keep_names(csv, text, size);
  size_t kept = 0;
  for (size_t at = 0; at <= size; at++) {
    if (at < size && text[at] != ',') {
      csv->names[kept++] = text[at];
      continue;
    }
    if (csv->columns == FRESHET_CSV_COLUMNS_MAX) return fail(csv, error, "--columns has too many names");
    csv->name_ends[csv->columns++] = kept;
  }
  if (peek_byte(csv) == BROKEN) return fail(csv, error, csv->trouble.message);
  return peek_byte(csv) == END_OF_FILE ? fail(csv, error, "the file is empty") : FRESHET_OK;
}

static freshet_status read_names(freshet_csv* csv, freshet_error* error) {
  bool more = false;
  freshet_status status = read_row(csv, &more, error);
  if (status != FRESHET_OK) return status;
  if (!more) return fail(csv, error, "the file is empty; its first row should name the columns");
  keep_names(csv, (const char*)csv->row.data, csv->row.size);
  memcpy(csv->name_ends, csv->ends, sizeof csv->ends);
  csv->columns = csv->fields;
  return FRESHET_OK;
}

static void arm(freshet_csv* csv) {
  freshet_csv_dialect* dialect = &csv->dialect;
  csv->separator_size = strlen(dialect->separator);
  csv->row_end = dialect->ends == FRESHET_CSV_CR ? '\r' : '\n';
  if (dialect->escape == FRESHET_CSV_ESCAPE_AUTO && dialect->escape_char == 0) dialect->escape_char = '\\';
  if (dialect->no_quotes && dialect->escape == FRESHET_CSV_ESCAPE_AUTO)
    dialect->escape = FRESHET_CSV_ESCAPE_NONE;
  bool escapes = dialect->escape != FRESHET_CSV_ESCAPE_NONE;
  csv->stops[0][(unsigned char)dialect->separator[0]] = true;
  csv->stops[0]['\n'] = csv->stops[0]['\r'] = true;
  csv->stops[1]['"'] = csv->stops[1][(unsigned char)csv->row_end] = true;
  if (escapes) csv->stops[1][(unsigned char)dialect->escape_char] = true;
  if (dialect->escape == FRESHET_CSV_ESCAPE_CHAR) csv->stops[0][(unsigned char)dialect->escape_char] = true;
}

freshet_status freshet_csv_open_bytes(freshet_bytes* bytes, const char* path,
                                      const freshet_csv_dialect* dialect, freshet_csv** csv,
                                      freshet_error* error) {
  *csv = NULL;
  freshet_csv* opened = calloc(1, sizeof *opened);
  FRESHET_ASSERT(opened != NULL);
  opened->bytes = bytes;
  opened->path = strdup(path);
  FRESHET_ASSERT(opened->path != NULL);
  opened->line = opened->row_line = 1;
  if (dialect != NULL) opened->dialect = *dialect;
  freshet_slice head;
  freshet_error why = {0};
  freshet_status status = freshet_bytes_head(bytes, &head, &why);
  if (status != FRESHET_OK) freshet_error_set(error, status, FRESHET_STOP, "%s: %s", path, why.message);
  if (status == FRESHET_OK) {
    size_t before = take_separator_line(&opened->dialect, head);
    freshet_csv_dialect_tell(&opened->dialect, head);
    opened->dialect.expected = NULL; /* borrowed for this only */
    arm(opened);
    skip_byte_order_mark(opened);
    if (before > 0 && look_ahead(opened, before)) opened->chunk_at += before;
    opened->line += before > 0;
    status = opened->dialect.has_names ? take_given_names(opened, error) : read_names(opened, error);
  }
  if (status != FRESHET_OK) {
    freshet_csv_close(opened);
    return status;
  }
  *csv = opened;
  return FRESHET_OK;
}

freshet_status freshet_csv_open(const char* path, const freshet_csv_dialect* dialect, freshet_csv** csv,
                                freshet_error* error) {
  freshet_bytes* bytes;
  *csv = NULL;
  freshet_status status = freshet_bytes_open(path, NULL, &bytes, error);
  if (status == FRESHET_OK) status = freshet_csv_open_bytes(bytes, path, dialect, csv, error);
  return status;
}

void freshet_csv_close(freshet_csv* csv) {
  if (csv == NULL) return;
  freshet_bytes_close(csv->bytes);
  freshet_buffer_free(&csv->row);
  freshet_buffer_free(&csv->spare);
  free(csv->names);
  free(csv->path);
  free(csv);
}

const freshet_csv_dialect* freshet_csv_dialect_of(const freshet_csv* csv) {
  return &csv->dialect;
}

/* ---- names and fields ---- */

int freshet_csv_columns(const freshet_csv* csv) {
  return csv->columns;
}

freshet_slice freshet_csv_name(const freshet_csv* csv, int column) {
  size_t start = column == 0 ? 0 : csv->name_ends[column - 1];
  freshet_slice name = {csv->names + start, csv->name_ends[column] - start};
  while (name.size > 0 && (name.data[0] == ' ' || name.data[0] == '\t')) name.data++, name.size--;
  while (name.size > 0 && strchr(" \t\r", name.data[name.size - 1]) != NULL && name.data[name.size - 1] != 0)
    name.size--;
  return name;
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
  return csv->open_ended && freshet_bytes_grown(csv->bytes);
}

unsigned long freshet_csv_line(const freshet_csv* csv) {
  return csv->row_line;
}

double freshet_csv_progress(const freshet_csv* csv) {
  return freshet_bytes_progress(csv->bytes);
}

void freshet_csv_quote(freshet_slice text, freshet_buffer* out) {
  bool plain = text.size == 0 || (text.data[0] != ' ' && text.data[text.size - 1] != ' ');
  for (size_t i = 0; i < text.size && plain; i++) plain = memchr(",\"\r\n", text.data[i], 4) == NULL;
  if (plain) {
    if (text.size > 0) freshet_buffer_append(out, text.data, text.size);
    return;
  }
  freshet_buffer_append(out, "\"", 1);
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] == '"') freshet_buffer_append(out, "\"", 1);
    freshet_buffer_append(out, text.data + i, 1);
  }
  freshet_buffer_append(out, "\"", 1);
}

void freshet_csv_row(const freshet_csv* csv, freshet_buffer* out) {
  for (int f = 0; f < csv->fields; f++) {
    if (f > 0) freshet_buffer_append(out, ",", 1);
    freshet_csv_quote(freshet_csv_field(csv, f), out);
  }
}

/* ---- numbers ---- */

/* The number parsers of the C library want an end mark. */
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
