/* demo_customers.c: see demo_customers.h. */
#include "commands/demo_customers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  FEWEST = 3, /* purchases of a customer worth showing ... */
  MOST = 60,
  KNOWN = 20 /* ... whose last product has been sold so often that others can tell what goes with it */
};

static bool is_chosen(const freshet_demo_customer* customers, size_t chosen, const char* user_id) {
  for (size_t i = 0; i < chosen; i++) {
    if (strcmp(customers[i].id, user_id) == 0) return true;
  }
  return false;
}

/* No later purchase is this customer's. */
static bool is_last(const freshet_demo_data* data, size_t purchase) {
  const char* user_id = data->purchases[purchase].user_id;
  for (size_t i = purchase + 1; i < data->purchase_count; i++) {
    if (strcmp(data->purchases[i].user_id, user_id) == 0) return false;
  }
  return true;
}

/* A customer who turns to something else shows best what one purchase changes. */
static bool turns_to_something_else(const freshet_demo_data* data, const freshet_demo_customer* c) {
  if (freshet_demo_sales_of(data, c->held_back->item_id) < KNOWN) return false;
  for (size_t i = 0; i < c->story.bought_count; i++) {
    if (freshet_demo_titles_share_a_word(data, c->story.bought[i], c->held_back->item_id)) return false;
  }
  return true;
}

/* The last customers of the slice with a history that fits on a screen, who at last buy something else. */
freshet_status freshet_demo_customers_choose(const freshet_demo_data* data,
                                             freshet_demo_customer customers[FRESHET_DEMO_CUSTOMERS],
                                             size_t* count, freshet_error* error) {
  size_t chosen = 0;
  for (size_t i = data->purchase_count; i-- > 0 && chosen < FRESHET_DEMO_CUSTOMERS;) {
    const freshet_demo_purchase* last = &data->purchases[i];
    if (is_chosen(customers, chosen, last->user_id)) continue;
    size_t bought = freshet_demo_purchases_of(data, last->user_id);
    if (bought < FEWEST || bought > MOST) continue;
    freshet_demo_customer* c = &customers[chosen];
    *c = (freshet_demo_customer){.id = last->user_id, .held_back = last, .version = -1};
    c->story = (freshet_demo_story){.customer = c->id, .buys = last->item_id};
    for (size_t j = i; j-- > 0 && c->story.bought_count < FRESHET_DEMO_SHOWN;) {
      if (strcmp(data->purchases[j].user_id, c->id) == 0)
        c->story.bought[c->story.bought_count++] = data->purchases[j].item_id;
    }
    if (is_last(data, i) && turns_to_something_else(data, c)) chosen++;
  }
  *count = chosen;
  if (chosen >= FRESHET_DEMO_CUSTOMERS_SHOWN) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "the data has no %d customers with %d to %d purchases",
                           FRESHET_DEMO_CUSTOMERS_SHOWN, FEWEST, MOST);
}

static int most_changed_first(const void* a, const void* b) {
  const freshet_demo_change x = freshet_demo_change_of(&((const freshet_demo_customer*)a)->story);
  const freshet_demo_change y = freshet_demo_change_of(&((const freshet_demo_customer*)b)->story);
  if (x.by_purchase != y.by_purchase) return x.by_purchase > y.by_purchase ? -1 : 1;
  return x.new_count > y.new_count ? -1 : x.new_count < y.new_count;
}

static int quickest_first(const void* a, const void* b) {
  const double x = ((const freshet_demo_customer*)a)->story.took_ms,
               y = ((const freshet_demo_customer*)b)->story.took_ms;
  return x < y ? -1 : x > y;
}

/* How alike the lists of all customers are, and what they would be without variety. */
static void sum_up_variety(const freshet_demo_customer* customers, size_t count) {
  freshet_demo_list varied = {.pairs = 0}, plain = {.pairs = 0};
  for (size_t i = 0; i < count; i++) {
    varied.pairs += customers[i].story.after.pairs;
    varied.alike += customers[i].story.after.alike;
    plain.pairs += customers[i].story.plain.pairs;
    plain.alike += customers[i].story.plain.alike;
  }
  if (plain.pairs == 0 || varied.pairs == 0) return;
  printf("In their lists %.0f %% of the pairs of names share a word; without variety %.0f %%.\n",
         100.0 * (double)varied.alike / (double)varied.pairs,
         100.0 * (double)plain.alike / (double)plain.pairs);
}

static void sum_up(freshet_demo_customer* customers, size_t count) {
  freshet_demo_change all = {0};
  for (size_t i = 0; i < count; i++) {
    const freshet_demo_change change = freshet_demo_change_of(&customers[i].story);
    all.new_count += change.new_count;
    all.by_purchase += change.by_purchase;
  }
  qsort(customers, count, sizeof *customers, quickest_first);
  printf(
      "\n%zu customers bought once more. Of %zu products shown to them, %zu are new; %zu of these are there\n"
      "because of the purchase. A new list came after %.1f ms (median).\n",
      count, count * FRESHET_DEMO_SHOWN, all.new_count, all.by_purchase, customers[count / 2].story.took_ms);
  sum_up_variety(customers, count);
}

void freshet_demo_customers_show(freshet_demo_customer* customers, size_t count,
                                 const freshet_demo_data* data) {
  qsort(customers, count, sizeof *customers, most_changed_first);
  printf("\n%zu customers buy once more. The %d whose lists change most:\n", count,
         FRESHET_DEMO_CUSTOMERS_SHOWN);
  for (size_t i = 0; i < FRESHET_DEMO_CUSTOMERS_SHOWN && i < count; i++)
    freshet_demo_show(stdout, &customers[i].story, data, freshet_demo_has_colours());
  sum_up(customers, count);
}
