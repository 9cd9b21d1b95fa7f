/*
 * test_http_guard.c: the rules about a request's head, and the lines of a token file. No server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "service/http_guard.h"
#include "service/http_tokens.h"

static const char hosts[] = "shop.example, www.shop.example";

static void test_hosts(void** state) {
  (void)state;
  static const char* const ours[] = {
      "localhost",      "LOCALHOST:8080", "127.0.0.1",        "10.0.0.5:8080",    "[::1]",
      "[fe80::1]:8080", "shop.example",   "Shop.Example:443", "www.shop.example", "127.0.0.1:"};
  static const char* const foreign[] = {"",
                                        ":",
                                        ":8080",
                                        "evil.example",
                                        "localhost.evil.example",
                                        "127.0.0.1.evil.example",
                                        "shop.example.evil",
                                        "hop.example",
                                        "shop.example,",
                                        "shop.example:80:80",
                                        "shop.example:8a",
                                        "[::1",
                                        "[::1]x",
                                        "[]",
                                        "[evil]",
                                        "[127.0.0.1]",
                                        "2130706433",
                                        "0x7f.1",
                                        "localhost ",
                                        "user@localhost"};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
    if (!freshet_http_host_is_ours(freshet_slice_of(ours[i]), hosts)) fail_msg("'%s' is refused", ours[i]);
  }
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
    if (freshet_http_host_is_ours(freshet_slice_of(foreign[i]), hosts)) fail_msg("'%s' is taken", foreign[i]);
  }
  assert_false(freshet_http_host_is_ours(freshet_slice_of("shop.example"), ""));
  assert_false(freshet_http_host_is_ours(freshet_slice_of("shop.example"), NULL));
  assert_false(freshet_http_host_is_ours((freshet_slice){NULL, 0}, hosts));
}

/* headers: pairs of name and value, NULL at the end. */
static freshet_http_head head_of(const char* const* headers) {
  freshet_http_head head = {0};
  for (size_t i = 0; headers[i] != NULL; i += 2) freshet_http_head_add(&head, headers[i], headers[i + 1]);
  return head;
}
#define HEAD(...) head_of((const char* const[]){__VA_ARGS__, NULL})

static bool foreign(const char* origin, const char* host) {
  freshet_http_head head = HEAD("host", host, "ORIGIN", origin);
  return freshet_http_origin_is_foreign(&head, hosts);
}

static void test_origins(void** state) {
  (void)state;
  assert_false(foreign("http://127.0.0.1:8080", "127.0.0.1:8080"));
  assert_false(foreign("https://Shop.example", "shop.example"));
  assert_false(foreign("https://shop.example:8443", "10.0.0.5:8080")); /* behind a proxy */
  assert_true(foreign("http://127.0.0.1:3000", "127.0.0.1:8080"));
  assert_true(foreign("http://evil.example", "127.0.0.1:8080"));
  assert_true(foreign("http://evil.example", "localhost"));
  assert_true(foreign("null", "localhost"));
  assert_true(foreign("", ""));
  assert_true(foreign("http://", ""));
  assert_true(foreign("http://shop.example.evil", "localhost"));
  freshet_http_head without = HEAD("Host", "localhost");
  assert_false(freshet_http_origin_is_foreign(&without, hosts));
  freshet_http_head twice = HEAD("Host", "a", "Origin", "http://evil", "Origin", "http://a");
  assert_true(freshet_http_origin_is_foreign(&twice, hosts));
}

static void expect_problem(freshet_http_head head, const char* part) {
  const char* problem = freshet_http_head_problem(&head);
  assert_non_null(problem);
  if (strstr(problem, part) == NULL) fail_msg("no '%s' in '%s'", part, problem);
}

static void test_framing(void** state) {
  (void)state;
  freshet_http_head sound = HEAD("Content-Length", "31", "Host", "x", "Connection", "close");
  assert_null(freshet_http_head_problem(&sound));
  sound = HEAD("transfer-encoding", "Chunked");
  assert_null(freshet_http_head_problem(&sound));
  expect_problem(HEAD("Content-Length", "0", "content-length", "31"), "more than one Content-Length");
  expect_problem(HEAD("Content-Length", "4", "content-length", "4"), "more than one Content-Length");
  expect_problem(HEAD("Content-Length", "4", "Transfer-Encoding", "chunked"), "together");
  expect_problem(HEAD("Content-Length ", "4"), "a blank in the name");
  expect_problem(HEAD("Content-Length\t", "4"), "a blank in the name");
  expect_problem(HEAD("Content-Length16", ""), "two lines");
  expect_problem(HEAD("transfer-encodingchunked", ""), "two lines");
  expect_problem(HEAD("X A", "4", "Content-Length", "4"), "a blank in the name");
  expect_problem(HEAD("Transfer-Encoding", "chunked", "Transfer-Encoding", "identity"),
                 "more than one Transfer");
  expect_problem(HEAD("Transfer-Encoding", "xchunked"), "other than chunked");
  expect_problem(HEAD("Transfer-Encoding", "chunked, identity"), "other than chunked");
  static const char* const lengths[] = {"", "+2", "-1", "2,2", "0x2", " 2", "2 ", "99999999999999999999999"};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
    expect_problem(HEAD("Content-Length", lengths[i]), "no number");
  expect_problem(HEAD("Host", "a", "Host", "a"), "more than one Host");
}

static void test_the_mark(void** state) {
  (void)state;
  freshet_http_head marked = HEAD("x-freshet", "1"), other = HEAD("X-Freshet", "yes"), none = HEAD("X", "1");
  assert_true(freshet_http_head_is_marked(&marked));
  assert_false(freshet_http_head_is_marked(&other));
  assert_false(freshet_http_head_is_marked(&none));
}

static void expect_token(const char* text, const char* token, bool may_change) {
  char line[128];
  bool may = !may_change;
  strcpy(line, text);
  const char* found = freshet_http_tokens_parse(line, &may);
  if (token == NULL) {
    assert_null(found);
    return;
  }
  assert_non_null(found);
  assert_string_equal(found, token);
  assert_int_equal(may, may_change);
}

static void test_token_lines(void** state) {
  (void)state;
  expect_token("secret\r\n", "secret", true);
  expect_token("admin secret\n", "secret", true);
  expect_token("read \t secret\n", "secret", false);
  expect_token("readable\n", "readable", true);
  expect_token("read", "read", true);
  expect_token("read \n", NULL, false);
  expect_token("# read secret\n", NULL, false);
  expect_token("\n", NULL, false);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_hosts),    cmocka_unit_test(test_origins),     cmocka_unit_test(test_framing),
      cmocka_unit_test(test_the_mark), cmocka_unit_test(test_token_lines),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
