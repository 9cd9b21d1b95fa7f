/* homes.c: see homes.h. */
#include "users/homes.h"

freshet_status freshet_homes_find(const freshet_homes* homes, freshet_slice user_id, int32_t* partition,
                                  freshet_error* error) {
  *partition = freshet_partition_by(homes->partitioner, user_id, homes->partitions);
  if (homes->partitioner != FRESHET_PARTITIONER_ANY) return FRESHET_OK;
  FRESHET_HELD_EACH(held, homes->held, FRESHET_TOPIC_EVENTS) {
    bool known = false;
    freshet_status status = freshet_users_knows(homes->users, held->partition, user_id, &known, error);
    if (known) *partition = held->partition;
    if (status != FRESHET_OK || known) return status;
  }
  return FRESHET_OK;
}

bool freshet_homes_are_all_held(const freshet_homes* homes) {
  return freshet_held_count(homes->held, FRESHET_TOPIC_EVENTS) >= (size_t)homes->partitions;
}
