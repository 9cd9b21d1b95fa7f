/*
 * demo_customers.h: the customers of `freshet demo` who buy once more in front of the viewer: which ones, and what their
 * purchases changed over all. It knows neither topics nor clients.
 */
#ifndef FRESHET_COMMANDS_DEMO_CUSTOMERS_H
#define FRESHET_COMMANDS_DEMO_CUSTOMERS_H

#include "commands/demo_show.h"

enum { FRESHET_DEMO_CUSTOMERS = 30 /* at most */, FRESHET_DEMO_CUSTOMERS_SHOWN = 3 };

/* The last purchase of a customer is kept back and made later, in front of the viewer. */
typedef struct freshet_demo_customer {
  const char* id;
  const freshet_demo_purchase* held_back;
  int64_t version;         /* of the newest list seen, -1: none */
  freshet_demo_list shown; /* of that list */
  bool has_plain;          /* the story has its list without variety */
  freshet_demo_story story;
} freshet_demo_customer;

/* Chooses [*count] customers, at least FRESHET_DEMO_CUSTOMERS_SHOWN. They point into the data. Errors: FRESHET_INVALID
 * when the data has fewer. */
freshet_status freshet_demo_customers_choose(const freshet_demo_data* data,
                                             freshet_demo_customer customers[FRESHET_DEMO_CUSTOMERS],
                                             size_t* count, freshet_error* error);
/* Prints the stories of those whose lists changed most, and what all purchases changed. Brings the customers into
 * another order. */
void freshet_demo_customers_show(freshet_demo_customer* customers, size_t count,
                                 const freshet_demo_data* data);

#endif
