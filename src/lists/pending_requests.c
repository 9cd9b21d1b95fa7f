/* pending_requests.c: see pending_requests.h. A doubly linked list. */
#include "lists/pending_requests.h"

#include <stdlib.h>

freshet_pending_request* freshet_pending_requests_add(freshet_pending_requests* requests,
                                                      freshet_inbox_entry* entry) {
  freshet_pending_request* pending = calloc(1, sizeof *pending);
  FRESHET_ASSERT(pending != NULL);
  pending->entry = entry;
  pending->older = requests->newest;
  *(requests->newest == NULL ? &requests->oldest : &requests->newest->newer) = pending;
  requests->newest = pending;
  requests->count++;
  return pending;
}

freshet_inbox_entry* freshet_pending_requests_remove(freshet_pending_requests* requests,
                                                     freshet_pending_request* pending) {
  freshet_inbox_entry* entry = pending->entry;
  FRESHET_ASSERT(requests->count > 0);
  *(pending->newer == NULL ? &requests->newest : &pending->newer->older) = pending->older;
  *(pending->older == NULL ? &requests->oldest : &pending->older->newer) = pending->newer;
  requests->count--;
  free(pending->vector);
  free(pending->reply_topic);
  free(pending->refusal);
  freshet_buffer_free(&pending->correlation);
  free(pending);
  return entry;
}

freshet_pending_request* freshet_pending_requests_find_text(const freshet_pending_requests* requests,
                                                            uint64_t text_id) {
  freshet_pending_request* pending = requests->newest;
  while (pending != NULL && !(pending->text == FRESHET_TEXT_WAITING && pending->text_id == text_id))
    pending = pending->older;
  return pending;
}

int64_t freshet_pending_requests_position(const freshet_pending_requests* requests, int32_t partition,
                                          int64_t next) {
  int64_t position = next;
  for (const freshet_pending_request* p = requests->oldest; p != NULL; p = p->newer) {
    bool waits = p->is_record && p->partition == partition;
    if (waits && p->offset < position) position = p->offset;
  }
  return position;
}

void freshet_pending_requests_forget(freshet_pending_requests* requests, int32_t partition) {
  for (freshet_pending_request *p = requests->oldest, *newer; p != NULL; p = newer) {
    newer = p->newer;
    if (!p->is_record || (partition >= 0 && p->partition != partition)) continue;
    freshet_inbox_entry_free(freshet_pending_requests_remove(requests, p));
  }
}
