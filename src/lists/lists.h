/*
 * lists.h: what the units of this room work with: the settings, the ports, and the objects that the worker has put
 * together. A unit takes from it what it uses. It owns nothing and decides nothing.
 */
#ifndef FRESHET_LISTS_LISTS_H
#define FRESHET_LISTS_LISTS_H

#include "catalogue/items.h"
#include "lists/ranking.h"
#include "lists/user_texts.h"
#include "stream/held.h"
#include "stream/ports.h"
#include "stream/stream_config.h"
#include "users/users.h"

/* None is owned; all outlive whoever works with them. */
typedef struct freshet_lists {
  const freshet_stream_config* config;
  const freshet_ports* ports;
  freshet_held* held;
  freshet_items* items;
  freshet_users* users;
  freshet_ranking* ranking;
  freshet_user_texts* user_texts;
} freshet_lists;

#endif
