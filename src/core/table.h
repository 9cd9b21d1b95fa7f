/*
 * table.h: large arrays that grow where they are. It owns their memory, and must not know what the elements are.
 *
 * A table has address space for many more elements than it holds. The system gives memory when an element is first written
 * to: huge pages, where it has them and a table is large, since small ones cost a scan of the ranker a third of its time. So a table grows without being copied or cleared, and an element that is not used yet takes no memory. An array
 * of malloc that doubles has to be copied for that: with a million items the loop would stand still for a second.
 */
#ifndef FRESHET_CORE_TABLE_H
#define FRESHET_CORE_TABLE_H

#include <stddef.h>

/* Makes room for `count` elements of `size` bytes; table NULL: a new one. What nobody has written is 0. The table starts
 * at a multiple of 2 MiB. It stays where it is up to 2^26 elements or 64 GiB, as long as the address space is not
 * limited; beyond that it may move. `count` is never smaller than before. Returns the table, or NULL when there is no memory: then
 * the old one is as it was. The caller frees by freshet_table_free. */
void* freshet_table_grow(void* table, size_t count, size_t size);
/* The same, with room for a quarter more than is needed when *capacity is not enough; *capacity is kept up to date. Ends
 * the process when there is no memory. */
void* freshet_table_reach(void* table, size_t* capacity, size_t needed, size_t size);
/* table may be NULL. */
void freshet_table_free(void* table);

#endif
