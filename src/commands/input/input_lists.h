/*
 * input_lists.h: several values in one text: categories, attributes, numbers of a vector. Lists that come as JSON
 * or as Python writes them are known by their bracket; others have a separator. Owns nothing but scratch texts.
 */
#ifndef FRESHET_COMMANDS_INPUT_LISTS_H
#define FRESHET_COMMANDS_INPUT_LISTS_H

#include "freshet/bytes.h"
#include "freshet/status.h"

/* Between the parts of a list that a reader knows to be one, and in front of the first: no text has this byte. A
 * name and its value have the other one between them. */
#define FRESHET_LIST_PART '\x1f'
#define FRESHET_LIST_VALUE '\x1e'

/* What --list-separator says, or what the first rows tell. */
typedef struct freshet_list_style {
  char separator; /* 0: not told yet: | */
  bool told;      /* by the user: nothing else separates */
} freshet_list_style;

/* Counts texts of the first rows, to tell the separator. Zero-initialise. */
typedef struct freshet_list_sample {
  size_t texts;
  size_t with[4]; /* texts that have | ; , > */
} freshet_list_sample;
extern const char freshet_list_separators[5]; /* "|;,>" */
void freshet_list_sample_add(freshet_list_sample* sample, freshet_slice text);
/* The separator that most texts have; | when few have any. */
char freshet_list_sample_tell(const freshet_list_sample* sample);
/* Another one that most texts have too, so that it may be the right one; 0: none. */
char freshet_list_sample_doubt(const freshet_list_sample* sample, char separator);

/* Splits a text into at most `most` parts without blanks at their ends; empty parts are dropped. Parts are views of
 * the text or of `scratch`. Returns how many. */
size_t freshet_list_split(freshet_slice text, const freshet_list_style* style, freshet_buffer* scratch,
                          freshet_slice* parts, size_t most);

/* JSON out of what Python prints: 'a' becomes "a", None null, True true, (1, 2) [1, 2]. Appended. */
void freshet_list_python_to_json(freshet_slice text, freshet_buffer* out);

/* A text without blanks at its ends. */
freshet_slice freshet_text_trim(freshet_slice text);

#endif
