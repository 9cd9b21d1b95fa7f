/* demo_data.c: see demo_data.h. It trusts the files, which come with the program. */
#include "commands/demo_data.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "commands/input/input_csv.h"
#include "core/grow.h"

static char* copy(freshet_slice text) {
  char* c = malloc(text.size + 1);
  FRESHET_ASSERT(c != NULL);
  memcpy(c, text.data == NULL ? "" : text.data, text.size);
  c[text.size] = '\0';
  return c;
}

static int by_id(const void* a, const void* b) {
  return strcmp(((const freshet_demo_product*)a)->id, ((const freshet_demo_product*)b)->id);
}

freshet_status freshet_demo_load_products(freshet_demo_data* d, const char* path, freshet_error* error) {
  freshet_csv* csv;
  bool more;
  size_t capacity = 0;
  freshet_status status = freshet_csv_open(path, NULL, &csv, error);
  if (status != FRESHET_OK) return status;
  int id = freshet_csv_column(csv, "item_id"), title = freshet_csv_column(csv, "title");
  while ((status = freshet_csv_next(csv, &more, error)) == FRESHET_OK && more) {
    d->products = freshet_grow(d->products, &capacity, d->product_count + 1, sizeof *d->products);
    d->products[d->product_count++] =
        (freshet_demo_product){copy(freshet_csv_field(csv, id)), copy(freshet_csv_field(csv, title))};
  }
  freshet_csv_close(csv);
  qsort(d->products, d->product_count, sizeof *d->products, by_id);
  return status;
}

freshet_status freshet_demo_load_purchases(freshet_demo_data* d, const char* path, freshet_error* error) {
  freshet_csv* csv;
  bool more;
  size_t capacity = 0;
  freshet_status status = freshet_csv_open(path, NULL, &csv, error);
  if (status != FRESHET_OK) return status;
  int event = freshet_csv_column(csv, "event_id"), user = freshet_csv_column(csv, "user_id"),
      item = freshet_csv_column(csv, "item_id"), time = freshet_csv_column(csv, "occurred_at");
  while ((status = freshet_csv_next(csv, &more, error)) == FRESHET_OK && more) {
    long long occurred_at_ms = 0;
    if (!freshet_csv_integer(freshet_csv_field(csv, time), &occurred_at_ms)) continue;
    d->purchases = freshet_grow(d->purchases, &capacity, d->purchase_count + 1, sizeof *d->purchases);
    d->purchases[d->purchase_count++] =
        (freshet_demo_purchase){copy(freshet_csv_field(csv, event)), copy(freshet_csv_field(csv, user)),
                                copy(freshet_csv_field(csv, item)), occurred_at_ms};
  }
  freshet_csv_close(csv);
  return status;
}

const char* freshet_demo_title(const freshet_demo_data* d, const char* item_id) {
  freshet_demo_product key = {(char*)item_id, NULL};
  const freshet_demo_product* found =
      bsearch(&key, d->products, d->product_count, sizeof *d->products, by_id);
  return found == NULL ? item_id : found->title;
}

/* The next run of letters of *text, which moves behind it; size 0: there is none. */
static freshet_slice next_word(const char** text) {
  while (**text != '\0' && !isalpha((unsigned char)**text)) (*text)++;
  const char* start = *text;
  while (isalpha((unsigned char)**text)) (*text)++;
  return (freshet_slice){start, (size_t)(*text - start)};
}

bool freshet_demo_titles_share_a_word(const freshet_demo_data* d, const char* a, const char* b) {
  enum { LETTERS = 4 };
  const char* text = freshet_demo_title(d, a);
  for (freshet_slice word = next_word(&text); word.size > 0; word = next_word(&text)) {
    const char* other = freshet_demo_title(d, b);
    for (freshet_slice w = next_word(&other); word.size >= LETTERS && w.size > 0; w = next_word(&other)) {
      if (freshet_slice_equal(word, w)) return true;
    }
  }
  return false;
}

size_t freshet_demo_sales_of(const freshet_demo_data* d, const char* item_id) {
  size_t count = 0;
  for (size_t i = 0; i < d->purchase_count; i++) count += strcmp(d->purchases[i].item_id, item_id) == 0;
  return count;
}

size_t freshet_demo_purchases_of(const freshet_demo_data* d, const char* user_id) {
  size_t count = 0;
  for (size_t i = 0; i < d->purchase_count; i++) count += strcmp(d->purchases[i].user_id, user_id) == 0;
  return count;
}

void freshet_demo_data_free(freshet_demo_data* d) {
  for (size_t i = 0; i < d->product_count; i++) {
    free(d->products[i].id);
    free(d->products[i].title);
  }
  free(d->products);
  for (size_t i = 0; i < d->purchase_count; i++) {
    free(d->purchases[i].event_id);
    free(d->purchases[i].user_id);
    free(d->purchases[i].item_id);
  }
  free(d->purchases);
}
