/* Links the in-memory store into the contract suites. */
#include "support/memory_store.c"
