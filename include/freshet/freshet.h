/*
 * freshet.h: all public headers of the library, and its version.
 *
 * bytes.h    views of bytes and growing buffers
 * status.h   how calls report failure
 * event.h    events, items, requests and lists as plain structs, and their validation
 * encoder.h  text to vectors
 * model.h    what is known about items and users, and how an event changes it
 * ranker.h   the exact k best items for a query
 *
 * The library does no input or output except in encoder.h, which reads model files and may ask a server.
 * CMakeLists.txt reads the version from this file.
 */
#ifndef FRESHET_FRESHET_H
#define FRESHET_FRESHET_H

#include "freshet/bytes.h"
#include "freshet/encoder.h"
#include "freshet/event.h"
#include "freshet/model.h"
#include "freshet/ranker.h"
#include "freshet/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The version of these headers. */
#define FRESHET_VERSION "0.1.0"

/* The version of the library that the program is linked with: compare it with FRESHET_VERSION. Static. Any
 * thread. */
const char* freshet_version(void);

#ifdef __cplusplus
}
#endif

#endif
