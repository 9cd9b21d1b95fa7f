/* Lists in one text: separators that are told, JSON, Python; names and words that are alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "commands/input/input_lists.h"
#include "commands/input/input_names.h"
#include "commands/input/input_types.h"
#include "freshet/event.h"

enum { PARTS = 8 };

/* Joins the parts with + for comparing. */
static void check(const char* text, char separator, bool told, const char* expected) {
  freshet_list_style style = {separator, told};
  freshet_buffer scratch = {0}, joined = {0};
  freshet_slice parts[PARTS];
  size_t count = freshet_list_split(freshet_slice_of(text), &style, &scratch, parts, PARTS);
  for (size_t i = 0; i < count; i++) {
    if (i > 0) freshet_buffer_append(&joined, "+", 1);
    freshet_buffer_append(&joined, parts[i].data, parts[i].size);
  }
  freshet_buffer_append(&joined, "", 1);
  assert_string_equal((const char*)joined.data, expected);
  freshet_buffer_free(&scratch);
  freshet_buffer_free(&joined);
}

static void lists_are_split(void** state) {
  (void)state;
  check("|home||gift|", '|', false, "home+gift");
  check(" a ; b", ';', false, "a+b");
  check("Action,Puzzle", '|', false, "Action+Puzzle");
  check("Action,Puzzle", '|', true, "Action,Puzzle");
  check("Toys, Games", '|', false, "Toys, Games"); /* a name with a comma */
  check("Home > Lighting > Lamps", '|', false, "Home+Lighting+Lamps");
  check("Home > Lamps|Garden", '|', false, "Home > Lamps+Garden");
  check("[\"Home\",\"Hair Care | Tools\"]", '|', false, "Home+Hair Care | Tools");
  check("[['Books', 'Crime'], ['Fiction']]", ',', false, "Books+Crime+Fiction");
  check("[{'id': 16, 'name': 'Animation'}, {'id': 35, 'name': \"Child's\"}]", ',', false,
        "Animation+Child's");
  check("['it\\'s', u'caf\\xe9', None]", ',', false, "it's+caf\xc3\xa9");
  check("('a', 'b')", ',', false, "a+b");
  check("{'a', 'b'}", '|', false, "a+b");
  check("{Home,\"Kitchen, big\",\"say \\\"hi\\\"\"}", '|', false, "Home+Kitchen, big+say \"hi\"");
  check("[Home & Garden, Toys]", '|', false, "Home & Garden+Toys");
  check("['Home' 'Kid''s']", '|', false, "Home+Kid's");
  check("array(['Home', 'Toys'], dtype=object)", '|', false, "Home+Toys");
  check("Home » Lamps", '|', false, "Home+Lamps");
  check("Home / Lamps / Desk", ',', false, "Home+Lamps+Desk");
  check("AC/DC", '|', false, "AC/DC");
  check("{a: b}", '|', false, "{a: b}");
  check("[unclosed", ',', false, "[unclosed");
  check("a|b|c|d|e|f|g|h|i|j", '|', false, "a+b+c+d+e+f+g+h");
  check("", '|', false, "");
}

static void the_first_texts_tell_the_separator(void** state) {
  (void)state;
  static const struct {
    const char* texts[4];
    char separator, doubt;
  } known[] = {{{"a;b", "c", "d;e", ""}, ';', 0},
               {{"a,b", "c,d", "e", "f"}, ',', 0},
               {{"a|b, c", "d|e, f", "g|h, i", "j|k, l"}, '|', ','},
               {{"a", "b", "c", "d"}, '|', 0},
               {{"[1,2]", "a;b", "{}", "(1,2)"}, ';', 0}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    freshet_list_sample sample = {0};
    for (int t = 0; t < 4; t++) freshet_list_sample_add(&sample, freshet_slice_of(known[i].texts[t]));
    char separator = freshet_list_sample_tell(&sample);
    assert_int_equal(separator, known[i].separator);
    assert_int_equal(freshet_list_sample_doubt(&sample, separator), known[i].doubt);
  }
}

static void one_comma_in_many_names_separates_nothing(void** state) {
  (void)state;
  freshet_list_sample sample = {0};
  for (int i = 0; i < 20; i++)
    freshet_list_sample_add(&sample, freshet_slice_of(i == 0 ? "Toys, Games" : "Books"));
  assert_int_equal(freshet_list_sample_tell(&sample), '|');
}

static void words_of_types_are_known_or_mapped(void** state) {
  (void)state;
  freshet_event_type type;
  const char* rules = "Order Completed=purchase, remove_from_cart=-,a=b=click,cart=buy,*=view";
  assert_int_equal(freshet_type_rules_check(rules, NULL), FRESHET_OK);
  assert_int_equal(freshet_type_find(rules, freshet_slice_of("order_completed"), &type), FRESHET_TYPE_KNOWN);
  assert_int_equal(type, FRESHET_PURCHASE);
  assert_int_equal(freshet_type_find(rules, freshet_slice_of("Remove From Cart"), &type),
                   FRESHET_TYPE_LEFT_OUT);
  assert_int_equal(freshet_type_find(rules, freshet_slice_of("a=b"), &type), FRESHET_TYPE_KNOWN);
  assert_int_equal(freshet_type_find(rules, freshet_slice_of("cart"), &type), FRESHET_TYPE_KNOWN);
  assert_int_equal(type, FRESHET_PURCHASE);
  assert_int_equal(freshet_type_find(rules, freshet_slice_of("whatever"), &type), FRESHET_TYPE_KNOWN);
  assert_int_equal(type, FRESHET_CLICK);
  assert_int_equal(freshet_type_find(NULL, freshet_slice_of("whatever"), &type), FRESHET_TYPE_UNKNOWN);
  static const char* const bad[] = {"cart", "cart=", "=click", "cart=thing"};
  for (size_t i = 0; i < 4; i++) assert_int_equal(freshet_type_rules_check(bad[i], NULL), FRESHET_INVALID);
}

static void names_are_compared_without_case_and_marks(void** state) {
  (void)state;
  assert_true(freshet_name_is_like(freshet_slice_of("userId"), freshet_slice_of(" User_ID ")));
  assert_true(freshet_name_is_like(freshet_slice_of("Customer ID"), freshet_slice_of("customer-id")));
  assert_false(freshet_name_is_like(freshet_slice_of("user"), freshet_slice_of("user_id")));
  assert_false(freshet_name_is_like(freshet_slice_of(""), freshet_slice_of("x")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_are_split),
      cmocka_unit_test(the_first_texts_tell_the_separator),
      cmocka_unit_test(one_comma_in_many_names_separates_nothing),
      cmocka_unit_test(words_of_types_are_known_or_mapped),
      cmocka_unit_test(names_are_compared_without_case_and_marks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
