/*
 * base64.h: bytes as text (RFC 4648), for the file that `freshet repair` writes. It owns nothing.
 */
#ifndef FRESHET_COMMANDS_BASE64_H
#define FRESHET_COMMANDS_BASE64_H

#include "service/json_writer.h"

/* Appends "KEY":"..." with the bytes in base64. */
void freshet_json_base64(freshet_json* json, const char* key, freshet_slice bytes);

#endif
