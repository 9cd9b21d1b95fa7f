/* Links the in-memory store into the unit tests. */
#include "support/memory_store.c"
