/*
 * input_csv.h: a streaming reader of separated values: RFC 4180 and the other dialects that are in use. A dialect
 * says which bytes separate, quote and escape; what it leaves open is told by the first rows. Fields come as
 * UTF-8 texts. It owns the current row and must not know what the columns mean.
 *
 *   freshet_csv* csv;
 *   freshet_csv_open("events.csv.gz", NULL, &csv, &error);
 *   int user = freshet_csv_column(csv, "user_id");
 *   while (freshet_csv_next(csv, &more, &error) == FRESHET_OK && more) use(freshet_csv_field(csv, user));
 *   freshet_csv_close(csv);
 *
 * Thread rule: a reader serves one thread at a time.
 */
#ifndef FRESHET_COMMANDS_INPUT_CSV_H
#define FRESHET_COMMANDS_INPUT_CSV_H

#include "commands/input/input_bytes.h"

enum {
  FRESHET_CSV_COLUMNS_MAX = 1024,
  FRESHET_CSV_ROW_MAX = 16 * 1024 * 1024, /* bytes of one row, unquoted */
  FRESHET_CSV_SEPARATOR_MAX = 8,          /* bytes */
};

typedef enum freshet_csv_escape {
  FRESHET_CSV_ESCAPE_AUTO =
      0, /* a backslash before a quote, once one is found where it cannot be anything else */
  FRESHET_CSV_ESCAPE_NONE, /* only a doubled quote stands for one */
  FRESHET_CSV_ESCAPE_CHAR,
} freshet_csv_escape;

typedef enum freshet_csv_ends {
  FRESHET_CSV_LF = 0, /* or CR LF */
  FRESHET_CSV_CR,     /* old Macintosh */
} freshet_csv_ends;

/* Zero-initialise: everything is told by the first rows. */
typedef struct freshet_csv_dialect {
  char separator[FRESHET_CSV_SEPARATOR_MAX + 1]; /* "": comma, semicolon, tab or | as the first rows tell */
  bool no_quotes;                                /* quotes are bytes like any others */
  freshet_csv_escape escape;
  char escape_char;
  freshet_csv_ends ends;
  bool has_names;       /* the names below, and no row of names */
  const char* names;    /* separated by commas; "*" behind the last one: it takes the rest of the line */
  const char* expected; /* names, separated by commas, that help to tell the separator; NULL: none */
  bool latin1_rows;     /* a row that is not UTF-8 is ISO 8859-1 */
} freshet_csv_dialect;

/* "comma", "tab", "::", ...: for people. */
const char* freshet_csv_separator_name(const char* separator);
/* Reads "tab", "comma", "\t" or the separator as it is. Errors: FRESHET_INVALID. */
freshet_status freshet_csv_separator_parse(const char* text, freshet_csv_dialect* dialect,
                                           freshet_error* error);
/* Completes a dialect by the first bytes of a file (input_csv_dialect.c). */
void freshet_csv_dialect_tell(freshet_csv_dialect* dialect, freshet_slice head);

typedef struct freshet_csv freshet_csv;

/* Opens a file ("-": standard input) and reads the row of names. dialect NULL: all is told by the first rows. The
 * caller closes *csv. Errors: those of freshet_bytes_open; FRESHET_INVALID when it has no row of names. */
freshet_status freshet_csv_open(const char* path, const freshet_csv_dialect* dialect, freshet_csv** csv,
                                freshet_error* error);
/* The same over bytes that are open, which the reader then owns, also when it fails. The path is for messages. */
freshet_status freshet_csv_open_bytes(freshet_bytes* bytes, const char* path,
                                      const freshet_csv_dialect* dialect, freshet_csv** csv,
                                      freshet_error* error);
void freshet_csv_close(freshet_csv* csv); /* NULL is allowed */
const freshet_csv_dialect* freshet_csv_dialect_of(const freshet_csv* csv);

/* The place of a column by name (bytes compared as they are), or -1. */
int freshet_csv_column(const freshet_csv* csv, const char* name);

/* How many names there are, and one of them, without blanks at its ends. */
int freshet_csv_columns(const freshet_csv* csv);
freshet_slice freshet_csv_name(const freshet_csv* csv, int column);

/* Reads the next row; *more is false at the end. Empty lines are skipped. Errors: FRESHET_INVALID for a
 * quote that is never closed, a row over a limit, or a broken file; the message names file and line. */
freshet_status freshet_csv_next(freshet_csv* csv, bool* more, freshet_error* error);

/* A field of the current row; empty for column -1 and for a column that the row does not reach. The view
 * holds until the next call of freshet_csv_next. */
freshet_slice freshet_csv_field(const freshet_csv* csv, int column);

/* How many fields the current row has. */
int freshet_csv_fields(const freshet_csv* csv);
/* The current row is the last one and has no line end, in a file that has grown while it was read: more of it
 * may be coming. */
bool freshet_csv_unfinished(const freshet_csv* csv);

unsigned long freshet_csv_line(const freshet_csv* csv); /* where the current row starts, from 1 */
/* How much of the file has been read, 0 to 1, for a progress bar; 0 when its size is not known. */
double freshet_csv_progress(const freshet_csv* csv);
/* The current row as a line of CSV with commas, appended. */
void freshet_csv_row(const freshet_csv* csv, freshet_buffer* out);
/* One field as CSV has it, in quotes where it needs them, appended. */
void freshet_csv_quote(freshet_slice text, freshet_buffer* out);

/* A field as a number. False unless all of it is one (and, for real, finite). */
bool freshet_csv_integer(freshet_slice field, long long* value);
bool freshet_csv_real(freshet_slice field, double* value);

#endif
