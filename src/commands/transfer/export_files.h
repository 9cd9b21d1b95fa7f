/*
 * export_files.h: writes a gathered state (export_state.h) as container files, and fills in the manifest. It must not
 * know Kafka. Thread rule: one thread.
 */
#ifndef FRESHET_COMMANDS_TRANSFER_EXPORT_FILES_H
#define FRESHET_COMMANDS_TRANSFER_EXPORT_FILES_H

#include "commands/transfer/export_state.h"
#include "commands/transfer/manifest.h"

/* folder: of the files, which must not be there yet. The manifest's files and state_hash are filled in. Errors:
 * FRESHET_IO; FRESHET_INVALID for a row that cannot be read. */
freshet_status freshet_export_files_write(freshet_export_state* state, const char* folder,
                                          freshet_manifest* manifest, freshet_error* error);

#endif
