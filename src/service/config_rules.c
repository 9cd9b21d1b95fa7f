/*
 * config_rules.c: compiles the keys of [rules] and compares the rules with each other. The message about two
 * rules that contradict names both, with their places. It owns the compiled rules until the configuration is
 * destroyed.
 */
#include "service/config_rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/observe.h"
#include "service/config_table.h"

static const double FACTOR_MAX = 1e6;

static bool begins(const char* text, const char* prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool freshet_config_is_rule(const char* name) {
  return begins(name, "boost.") || begins(name, "bury.") || begins(name, "pin.");
}

static freshet_status refuse(const freshet_property* rule, const char* why, freshet_error* error) {
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: rules.%s = %s %s", rule->where,
                           rule->name, rule->value, why);
}

static freshet_status contradict(const freshet_property* a, const char* name, const char* value,
                                 const char* where, const char* why, freshet_error* error) {
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "%s: rules.%s = %s contradicts %s = %s at %s: %s", a->where, a->name, a->value,
                           name, value, where, why);
}

static freshet_status contradict_rule(const freshet_property* a, const freshet_property* b, const char* why,
                                      freshet_error* error) {
  char name[256];
  snprintf(name, sizeof name, "rules.%s", b->name);
  return contradict(a, name, b->value, b->where, why, error);
}

static freshet_status contradict_key(const freshet_config* config, const freshet_property* a, const char* key,
                                     const char* why, freshet_error* error) {
  const freshet_config_value* value = &config->own->values[freshet_config_key_find(key)];
  return contradict(a, key, value->text, value->where, why, error);
}

/* "category:Summer dresses 2" */
static freshet_status parse_boost(const freshet_property* rule, freshet_boost* boost, freshet_error* error) {
  static const char form[] = "is neither category:NAME FACTOR nor attribute:NAME=VALUE FACTOR";
  const char* blank = strrchr(rule->value, ' ');
  char* end = NULL;
  double factor = blank == NULL ? 0 : strtod(blank + 1, &end);
  if (blank == NULL || end == blank + 1 || *end != '\0') return refuse(rule, form, error);
  if (!(factor > 1 && factor <= FACTOR_MAX))
    return refuse(rule, "needs a factor above 1, and at most 1000000", error);
  while (blank > rule->value && blank[-1] == ' ') blank--;
  freshet_slice selector = {rule->value, (size_t)(blank - rule->value)};
  static const char category[] = "category:", attribute[] = "attribute:";
  boost->amount = (float)log(factor) * (begins(rule->name, "bury.") ? -1.0F : 1.0F);
  if (begins(rule->value, category) && selector.size > sizeof category - 1) {
    boost->facet = freshet_category_key(
        (freshet_slice){selector.data + sizeof category - 1, selector.size - (sizeof category - 1)});
    return FRESHET_OK;
  }
  const char* name = selector.data + sizeof attribute - 1;
  const char* last = selector.data + selector.size;
  const char* equals = begins(rule->value, attribute) ? memchr(name, '=', (size_t)(last - name)) : NULL;
  if (equals == NULL || equals == name) return refuse(rule, form, error);
  boost->facet = freshet_attribute_key((freshet_slice){name, (size_t)(equals - name)},
                                       (freshet_slice){equals + 1, (size_t)(last - equals - 1)});
  return FRESHET_OK;
}

static freshet_status parse_pin(const freshet_config* config, const freshet_property* rule, freshet_pin* pin,
                                freshet_error* error) {
  char* end = NULL;
  const char* place = strchr(rule->name, '.') + 1;
  long number = strtol(place, &end, 10);
  if (end == place || *end != '\0' || number < 1 || number > FRESHET_RANK_K_MAX)
    return refuse(rule, "does not pin to a place from 1 on, such as pin.1", error);
  if (rule->value[0] == '\0') return refuse(rule, "names no item", error);
  if (number > config->ranking.k)
    return contradict_key(config, rule, "ranking.k", "lists have no such place", error);
  *pin = (freshet_pin){freshet_id_key(freshet_slice_of(rule->value)), (uint32_t)number - 1};
  return FRESHET_OK;
}

static freshet_status add_boost(freshet_config* config, size_t index, const freshet_property** of_boost,
                                freshet_error* error) {
  freshet_rules* rules = &config->rules.compiled;
  const freshet_property* rule = &config->rules.named[index];
  freshet_boost boost;
  freshet_status status = parse_boost(rule, &boost, error);
  if (status != FRESHET_OK) return status;
  for (size_t i = 0; i < rules->boost_count; i++) {
    if (rules->boosts[i].facet == boost.facet)
      return contradict_rule(rule, of_boost[i], "both are about the same items", error);
  }
  of_boost[rules->boost_count] = rule;
  rules->boosts[rules->boost_count++] = boost;
  return FRESHET_OK;
}

static freshet_status add_pin(freshet_config* config, size_t index, const freshet_property** of_pin,
                              freshet_error* error) {
  freshet_rules* rules = &config->rules.compiled;
  const freshet_property* rule = &config->rules.named[index];
  freshet_pin pin;
  freshet_status status = parse_pin(config, rule, &pin, error);
  if (status != FRESHET_OK) return status;
  for (size_t i = 0; i < rules->pin_count; i++) {
    if (rules->pins[i].item_key == pin.item_key)
      return contradict_rule(rule, of_pin[i], "one item cannot stand at two places", error);
    if (rules->pins[i].place == pin.place)
      return contradict_rule(rule, of_pin[i], "two items cannot stand at one place", error);
  }
  of_pin[rules->pin_count] = rule;
  rules->pins[rules->pin_count++] = pin;
  return FRESHET_OK;
}

/* What the keys of the table cannot all want at once. */
static freshet_status check_table(const freshet_config* config, freshet_error* error) {
  const freshet_config_value* share = &config->own->values[freshet_config_key_find("rules.new_share")];
  const freshet_property wanted = {"new_share", share->text, share->where};
  if (config->rules.new_share == 0) return FRESHET_OK;
  if (config->rules.max_age_s > 0 && config->rules.max_age_s <= config->rules.new_age_s)
    return contradict_key(config, &wanted, "rules.max_age_s",
                          "every item that may be shown would be new (rules.new_age_s)", error);
  if (config->rules.compiled.pin_count >= (size_t)config->ranking.k)
    return contradict_rule(&wanted, &config->rules.named[0], "pins leave no place for new items", error);
  return FRESHET_OK;
}

freshet_status freshet_config_compile_rules(freshet_config* config, freshet_error* error) {
  size_t count = config->rules.named_count;
  freshet_rules* rules = &config->rules.compiled;
  *rules = (freshet_rules){.hide = (freshet_hide)config->rules.hide,
                           .wants_hints = config->model.goal != FRESHET_GOAL_ANY,
                           .exclude_own = config->rules.exclude_own,
                           .hide_for_ms = {[FRESHET_CLICK] = config->rules.hide_click_s * 1000,
                                           [FRESHET_RATING] = config->rules.hide_rating_s * 1000,
                                           [FRESHET_PURCHASE] = config->rules.hide_purchase_s * 1000},
                           .max_per_category = (uint32_t)config->rules.max_per_category,
                           .max_age_ms = config->rules.max_age_s * 1000,
                           .new_share = (float)config->rules.new_share,
                           .new_age_ms = config->rules.new_age_s * 1000,
                           .boosts = calloc(count + 1, sizeof *rules->boosts),
                           .pins = calloc(count + 1, sizeof *rules->pins)};
  const freshet_property** from = calloc(2 * (count + 1), sizeof *from);
  FRESHET_ASSERT(rules->boosts != NULL && rules->pins != NULL && from != NULL);
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
    bool is_pin = begins(config->rules.named[i].name, "pin.");
    status = is_pin ? add_pin(config, i, from + count + 1, error) : add_boost(config, i, from, error);
  }
  free(from);
  if (status == FRESHET_OK) status = check_table(config, error);
  return status;
}
