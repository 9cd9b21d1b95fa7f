/* text_links.c: slices by the clock over freshet_model_link_texts; see text_links.h. */
#include "catalogue/text_links.h"

#include <stdlib.h>

enum { PIECE_PAIRS = 4096 /* between two looks at the clock */, PATIENCE_US = 1000000 };

struct freshet_text_links {
  freshet_ports ports;
  freshet_model* model;
  int64_t most_us;  /* of a turn */
  int64_t until_us; /* events wait up to then */
  bool is_busy;
};

freshet_text_links* freshet_text_links_create(const freshet_ports* ports, freshet_model* model,
                                              int64_t most_us) {
  freshet_text_links* links = calloc(1, sizeof *links);
  FRESHET_ASSERT(links != NULL);
  links->ports = *ports;
  links->model = model;
  links->most_us = most_us;
  return links;
}

void freshet_text_links_destroy(freshet_text_links* links) {
  free(links);
}

void freshet_text_links_turn(freshet_text_links* links, int64_t slice_us) {
  freshet_clock* clock = links->ports.clock;
  if (slice_us > links->most_us) slice_us = links->most_us;
  const int64_t start_us = freshet_clock_monotonic_us(clock);
  size_t left;
  do {
    left = freshet_model_link_texts(links->model, PIECE_PAIRS);
  } while (left > 0 && freshet_clock_monotonic_us(clock) - start_us < slice_us);
  freshet_gauge(&links->ports.metrics->texts_unlinked, left);
  if ((left > 0) == links->is_busy) return;
  links->is_busy = left > 0;
  freshet_log_fact(links->ports.logger, FRESHET_INFO, left > 0 ? "texts.linking" : "texts.linked",
                   "items=%zu", left > 0 ? left : freshet_model_item_count(links->model));
}

bool freshet_text_links_busy(const freshet_text_links* links) {
  return links->is_busy;
}

void freshet_text_links_await(freshet_text_links* links) {
  links->until_us = freshet_clock_monotonic_us(links->ports.clock) + PATIENCE_US;
}

bool freshet_text_links_lack(const freshet_text_links* links, bool is_patient) {
  if (freshet_model_unlinked(links->model) == 0) return false;
  return is_patient || freshet_clock_monotonic_us(links->ports.clock) < links->until_us;
}
