/*
 * input_csv_dialect.c: which separator, line ends and escapes a file of separated values uses, told by its first
 * bytes. A separator is right when the first row has the names that are looked for and the rows below it have as
 * many fields as it has.
 */
#include <stdio.h>
#include <strings.h>

#include "commands/input/input_csv.h"
#include "commands/input/input_names.h"

enum { ROWS_MAX = 20 };

static const struct {
  const char* separator;
  const char* name;
} separators[] = {{",", "comma"}, {";", "semicolon"}, {"\t", "tab"},
                  {"|", "bar"},   {" ", "blank"},     {"\1", "Ctrl-A"}};
enum { SEPARATORS = sizeof separators / sizeof separators[0] };

const char* freshet_csv_separator_name(const char* separator) {
  for (size_t i = 0; i < SEPARATORS; i++) {
    if (strcmp(separators[i].separator, separator) == 0) return separators[i].name;
  }
  return separator;
}

freshet_status freshet_csv_separator_parse(const char* text, freshet_csv_dialect* dialect,
                                           freshet_error* error) {
  dialect->separator[0] = '\0';
  if (strcasecmp(text, "auto") == 0) return FRESHET_OK;
  const char* separator = strcmp(text, "\\t") == 0 ? "\t" : text;
  for (size_t i = 0; i < SEPARATORS; i++) {
    if (strcasecmp(text, separators[i].name) == 0) separator = separators[i].separator;
  }
  size_t size = strlen(separator);
  if (size == 0 || size > FRESHET_CSV_SEPARATOR_MAX || strpbrk(separator, "\"\r\n") != NULL) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "separator '%s' is neither auto, tab nor 1 to %d characters without quotes",
                             text, FRESHET_CSV_SEPARATOR_MAX);
  }
  snprintf(dialect->separator, sizeof dialect->separator, "%s", separator);
  return FRESHET_OK;
}

/* The number of fields of one row of the head, which is taken off it. *whole false: the head ends in it. */
static size_t count_fields(freshet_slice* head, char separator, bool quotes, char row_end, bool* whole) {
  size_t fields = 1, i = 0;
  bool inside = false, begins = true;
  *whole = false;
  for (; i < head->size; i++) {
    char byte = head->data[i];
    if (inside) {
      if (byte == '\\') i++;
      if (byte == '"') inside = i + 1 < head->size && head->data[i + 1] == '"' && ++i;
      continue;
    }
    if (byte == row_end) {
      *whole = true;
      i++;
      break;
    }
    inside = quotes && begins && byte == '"';
    begins = byte == separator || (begins && byte == ' ');
    fields += byte == separator;
  }
  if (i > head->size) i = head->size; /* the head ends behind a backslash */
  *head = (freshet_slice){head->data + i, head->size - i};
  return fields;
}

/* How many of the expected names the first row has. */
static size_t count_names(freshet_slice row, char separator, const char* expected) {
  size_t found = 0;
  for (const char* name = expected; name != NULL && *name != '\0';) {
    size_t size = strcspn(name, ",");
    freshet_slice rest = row;
    for (bool more = true; more;) {
      const char* cut = rest.size == 0 ? NULL : memchr(rest.data, separator, rest.size);
      size_t width = cut == NULL ? rest.size : (size_t)(cut - rest.data);
      found += freshet_name_is_like((freshet_slice){rest.data, width}, (freshet_slice){name, size});
      more = cut != NULL;
      if (more) rest = (freshet_slice){cut + 1, rest.size - width - 1};
    }
    name += size + (name[size] == ',');
  }
  return found;
}

static size_t count_given(const freshet_csv_dialect* dialect) {
  size_t count = dialect->has_names;
  for (const char* at = dialect->names; dialect->has_names && *at != '\0'; at++) count += *at == ',';
  return count;
}

/* The larger the better; 0: the separator is not in the first row. */
static double score(const freshet_csv_dialect* dialect, freshet_slice head, char separator, char row_end) {
  bool whole;
  freshet_slice rest = head;
  size_t fields = count_fields(&rest, separator, !dialect->no_quotes, row_end, &whole);
  if (fields < 2) return 0;
  size_t names = count_names((freshet_slice){head.data, head.size - rest.size}, separator, dialect->expected);
  size_t rows = 0, equal = 0;
  while (rest.size > 0 && rows < ROWS_MAX) {
    size_t count = count_fields(&rest, separator, !dialect->no_quotes, row_end, &whole);
    if (!whole && rest.size == 0 && rows > 0) break; /* it may be cut by the end of the head */
    rows++;
    equal += count == fields;
  }
  double consistent = rows == 0 ? 1 : (double)equal / (double)rows;
  bool is_given = dialect->has_names && fields == count_given(dialect);
  if (separator == ' ' && names < 2 && !is_given) return 0; /* blanks are in most texts */
  return 1000.0 * (double)names + 1000.0 * is_given + 100 * consistent +
         (double)(fields < 50 ? fields : 50) / 100;
}

static void tell_separator(freshet_csv_dialect* dialect, freshet_slice head) {
  double best = 0;
  char row_end = dialect->ends == FRESHET_CSV_CR ? '\r' : '\n';
  dialect->separator[0] = ',';
  dialect->separator[1] = '\0';
  for (size_t i = 0; i < SEPARATORS; i++) {
    double value = score(dialect, head, separators[i].separator[0], row_end);
    if (value > best) {
      best = value;
      dialect->separator[0] = separators[i].separator[0];
    }
  }
}

void freshet_csv_dialect_tell(freshet_csv_dialect* dialect, freshet_slice head) {
  bool has_lf = head.size > 0 && memchr(head.data, '\n', head.size) != NULL;
  bool has_cr = head.size > 0 && memchr(head.data, '\r', head.size) != NULL;
  if (has_cr && !has_lf) dialect->ends = FRESHET_CSV_CR;
  if (dialect->separator[0] == '\0') tell_separator(dialect, head);
  if (dialect->escape != FRESHET_CSV_ESCAPE_AUTO || dialect->no_quotes) return;
  /* A quote behind a backslash that is followed by a letter is no end of a field. */
  for (size_t i = 0; i + 2 < head.size; i++) {
    if (head.data[i] != '\\' || head.data[i + 1] != '"' || (i > 0 && head.data[i - 1] == '\\')) continue;
    unsigned char after = (unsigned char)head.data[i + 2];
    if (after >= 0x80 || (after > ' ' && strchr(",;|\"", after) == NULL && after != dialect->separator[0])) {
      dialect->escape = FRESHET_CSV_ESCAPE_CHAR;
      dialect->escape_char = '\\';
      return;
    }
  }
}
