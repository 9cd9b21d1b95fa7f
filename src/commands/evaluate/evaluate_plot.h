/*
 * evaluate_plot.h: recall over time as a picture (SVG), for --plot. The values come from the metrics;
 * nothing is measured here.
 */
#ifndef FRESHET_COMMANDS_EVALUATE_PLOT_H
#define FRESHET_COMMANDS_EVALUATE_PLOT_H

#include "commands/evaluate/evaluate_metrics.h"
#include "freshet/status.h"

/* Writes an SVG: one line for each of names, recall@10 in windows of the ranked events. Errors:
 * FRESHET_IO. */
freshet_status freshet_evaluation_plot(const char* path, const char* const* names,
                                       const freshet_metrics* metrics, size_t count, freshet_error* error);

#endif
