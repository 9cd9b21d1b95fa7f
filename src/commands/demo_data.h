/*
 * demo_data.h: the products and purchases that `freshet demo` plays, read from files. Owns their texts. It knows
 * neither topics nor clients.
 */
#ifndef FRESHET_COMMANDS_DEMO_DATA_H
#define FRESHET_COMMANDS_DEMO_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "freshet/status.h"

typedef struct freshet_demo_product {
  char* id;
  char* title;
} freshet_demo_product;

typedef struct freshet_demo_purchase {
  char* event_id;
  char* user_id;
  char* item_id;
  int64_t occurred_at_ms;
} freshet_demo_purchase;

/* Zero-initialise; freshet_demo_data_free releases it. */
typedef struct freshet_demo_data {
  freshet_demo_product* products; /* [product_count] by id */
  size_t product_count;
  freshet_demo_purchase* purchases; /* [purchase_count] in the order of the file, which is that of time */
  size_t purchase_count;
} freshet_demo_data;

/* Files with the columns item_id, title, and event_id, user_id, item_id, occurred_at. Errors: as freshet_csv_open. */
freshet_status freshet_demo_load_products(freshet_demo_data* data, const char* path, freshet_error* error);
freshet_status freshet_demo_load_purchases(freshet_demo_data* data, const char* path, freshet_error* error);
void freshet_demo_data_free(freshet_demo_data* data);

/* The title of an item; its id when there is no such product. Points into the data or is item_id. */
const char* freshet_demo_title(const freshet_demo_data* data, const char* item_id);
/* Whether the titles of two items have a word of at least four letters in common. */
bool freshet_demo_titles_share_a_word(const freshet_demo_data* data, const char* a, const char* b);
/* How often the item was bought. */
size_t freshet_demo_sales_of(const freshet_demo_data* data, const char* item_id);
/* How many purchases the user has made. */
size_t freshet_demo_purchases_of(const freshet_demo_data* data, const char* user_id);

#endif
