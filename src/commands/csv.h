/*
 * csv.h: a streaming reader of CSV as in RFC 4180: quoted fields with commas, quotes and line breaks in them,
 * LF or CRLF, an optional byte order mark, plain or gzip. The first row names the columns.
 *
 *   freshet_csv* csv;
 *   freshet_csv_open("events.csv.gz", &csv, &error);
 *   int user = freshet_csv_column(csv, "user_id");
 *   while (freshet_csv_next(csv, &more, &error) == FRESHET_OK && more) use(freshet_csv_field(csv, user));
 *   freshet_csv_close(csv);
 *
 * Thread rule: a reader serves one thread at a time.
 */
#ifndef FRESHET_COMMANDS_CSV_H
#define FRESHET_COMMANDS_CSV_H

#include "freshet/bytes.h"
#include "freshet/status.h"

enum {
  FRESHET_CSV_COLUMNS_MAX = 256,
  FRESHET_CSV_ROW_MAX = 16 * 1024 * 1024, /* bytes of one row, unquoted */
};

typedef struct freshet_csv freshet_csv;

/* Opens a file ("-": standard input) and reads the row of names. The caller closes *csv. Errors:
 * FRESHET_NOT_FOUND when it cannot be opened, FRESHET_INVALID when it has no row of names, FRESHET_IO. */
freshet_status freshet_csv_open(const char* path, freshet_csv** csv, freshet_error* error);
void freshet_csv_close(freshet_csv* csv); /* NULL is allowed */

/* The place of a column by name (bytes compared as they are), or -1. */
int freshet_csv_column(const freshet_csv* csv, const char* name);

/* What the row of names holds: how many, and the name of one of them. */
int freshet_csv_columns(const freshet_csv* csv);
freshet_slice freshet_csv_name(const freshet_csv* csv, int column);

/* Reads the next row; *more is false at the end. Empty lines are skipped. Errors: FRESHET_INVALID for a quote
 * that is never closed, a row over a limit, or a broken gzip stream; the message names file and line. */
freshet_status freshet_csv_next(freshet_csv* csv, bool* more, freshet_error* error);

/* A field of the current row; empty for column -1 and for a column that the row does not reach. The view
 * holds until the next call of freshet_csv_next. */
freshet_slice freshet_csv_field(const freshet_csv* csv, int column);

/* How many fields the current row has. */
int freshet_csv_fields(const freshet_csv* csv);
/* True when the current row is the last one and has no line end, in a file that has grown while it was read:
 * more of the row may be on its way. */
bool freshet_csv_unfinished(const freshet_csv* csv);

unsigned long freshet_csv_line(const freshet_csv* csv); /* where the current row starts, from 1 */
/* How much of the file has been read, 0 to 1, for a progress bar; 0 when its size is not known. */
double freshet_csv_progress(const freshet_csv* csv);

/* A field as a number. False unless the whole field is a number (and, for real, finite). */
bool freshet_csv_integer(freshet_slice field, long long* value);
bool freshet_csv_real(freshet_slice field, double* value);

#endif
