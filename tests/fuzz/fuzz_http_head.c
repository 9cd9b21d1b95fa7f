/*
 * fuzz_http_head.c: the head of a request as lines "Name: value", the target of the request in the first one. The
 * guard must not read beyond its texts, and must never take a host that is not on the list for our own.
 */
#include <stdlib.h>
#include <string.h>

#include "service/http_guard.h"
#include "service/http_target.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

static void check(const freshet_http_head* head) {
  static const char hosts[] = "a.example,b.example";
  bool ours = freshet_http_host_is_ours(head->host, hosts);
  if (ours) FRESHET_ASSERT(head->host.size > 0 && memchr(head->host.data, '/', head->host.size) == NULL);
  if (ours) FRESHET_ASSERT(memchr(head->host.data, '@', head->host.size) == NULL);
  if (freshet_http_head_problem(head) == NULL) {
    FRESHET_ASSERT(head->length_count + head->encoding_count <= 1 && head->host_count <= 1);
    FRESHET_ASSERT(head->length_count == 0 || strtoull(head->length.data, NULL, 10) < UINT64_C(1) << 63);
  }
  bool foreign = freshet_http_origin_is_foreign(head, hosts);
  FRESHET_ASSERT(!foreign || head->origin_count > 0);
  freshet_http_head_is_marked(head);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  freshet_http_head head = {0};
  static freshet_http_target target;
  char* text = malloc(size + 1);
  FRESHET_ASSERT(text != NULL);
  memcpy(text, data, size);
  text[size] = '\0';
  char* rest = text;
  char* line = strsep(&rest, "\n");
  freshet_http_target_parse(line, &target, NULL);
  while (rest != NULL) {
    line = strsep(&rest, "\n");
    char* colon = strchr(line, ':');
    if (colon == NULL) continue;
    *colon = '\0';
    freshet_http_head_add(&head, line, colon + 1 + strspn(colon + 1, " "));
  }
  check(&head);
  free(text);
  return 0;
}
