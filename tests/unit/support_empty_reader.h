/*
 * support_empty_reader.h: a reader whose topics have one partition and no record. A test replaces the functions whose answers it
 * needs.
 */
#ifndef FRESHET_TESTS_EMPTY_READER_H
#define FRESHET_TESTS_EMPTY_READER_H

#include "stream/source.h"

freshet_reader_vtable freshet_empty_reader(void);

#endif
