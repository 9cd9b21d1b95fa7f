/* Links the in-memory store into the simulation. */
#include "support/memory_store.c"
