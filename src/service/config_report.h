/*
 * config_report.h: what a configuration has of its own, in one line for the log: settings that differ from the
 * defaults, and settings that differ from those of an earlier configuration. Secrets are masked.
 */
#ifndef FRESHET_SERVICE_CONFIG_REPORT_H
#define FRESHET_SERVICE_CONFIG_REPORT_H

#include "service/config.h"

/* Writes "section.key=value, ..." of the settings that are not the defaults to text[size]. What does not fit is
 * left out, and "and N more" says so. Double quotes in values become single ones. */
void freshet_config_own(const freshet_config* config, char* text, size_t size);

/* Writes "section.key, ..." of the settings outside [rules] that differ between two configurations to text[size],
 * in the same way. Returns how many there are. */
size_t freshet_config_changed(const freshet_config* before, const freshet_config* after, char* text,
                              size_t size);

/* Writes "FRESHET_NAME, ..." of the variables that begin with FRESHET_ and are no setting to text[size], in the same way.
 * environment: ended by NULL. Returns how many there are. */
size_t freshet_config_unused(char* const* environment, char* text, size_t size);

/* Whether a setting of this name may hold something that must not be printed. */
bool freshet_config_is_secret(const char* name);

#endif
