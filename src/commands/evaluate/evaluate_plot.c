/*
 * evaluate_plot.c: writes recall over time as an SVG picture, one line for each contender. It owns the open
 * file. It computes nothing but coordinates.
 */
#include "commands/evaluate/evaluate_plot.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH = 860, HEIGHT = 420, LEFT = 60, RIGHT = 130, TOP = 40, BOTTOM = 50, COLOURS = 6 };

static const char* const colours[COLOURS] = {"#0b63b0", "#c2571a", "#3a8a3a",
                                             "#8a4fa3", "#666666", "#b0902a"};

static double recall_at(const freshet_metrics* metrics, int window) {
  const freshet_place_sums* sums = &metrics->windows[window];
  return sums->count == 0 ? 0 : sums->recall / (double)sums->count;
}

static double x_of(int window) {
  return LEFT + (window + .5) * (WIDTH - LEFT - RIGHT) / FRESHET_WINDOWS;
}

static double y_of(double recall, double top) {
  return HEIGHT - BOTTOM - recall / top * (HEIGHT - TOP - BOTTOM);
}

static void draw_frame(FILE* out, double top) {
  fprintf(out,
          "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
          "font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
          "<text x=\"%d\" y=\"24\" font-size=\"16\">recall@10 over time, test then learn</text>\n",
          WIDTH, HEIGHT, LEFT);
  for (int i = 0; i <= 4; i++) {
    double y = y_of(top * i / 4, top);
    fprintf(out,
            "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#dddddd\"/>\n"
            "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.2f</text>\n",
            LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4, top * i / 4);
  }
  for (int i = 0; i <= 5; i++) {
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%d %%</text>\n",
            LEFT + i * (WIDTH - LEFT - RIGHT) / 5, HEIGHT - BOTTOM + 20, i * 20);
  }
  fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">share of the positive events</text>\n",
          LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 12);
}

freshet_status freshet_evaluation_plot(const char* path, const char* const* names,
                                       const freshet_metrics* metrics, size_t count, freshet_error* error) {
  FILE* out = fopen(path, "w");
  double top = .05;
  if (out == NULL) {
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "cannot write %s: %s", path, strerror(errno));
  }
  for (size_t c = 0; c < count; c++) {
    for (int w = 0; w < FRESHET_WINDOWS; w++) top = fmax(top, recall_at(&metrics[c], w));
  }
  top = ceil(top * 20) / 20;
  draw_frame(out, top);
  for (size_t c = 0; c < count; c++) {
    const char* colour = colours[c % COLOURS];
    fprintf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", colour);
    for (int w = 0; w < FRESHET_WINDOWS; w++) {
      fprintf(out, "%.1f,%.1f ", x_of(w), y_of(recall_at(&metrics[c], w), top));
    }
    fprintf(out, "\"/>\n<text x=\"%d\" y=\"%d\" fill=\"%s\">%s</text>\n", WIDTH - RIGHT + 12,
            TOP + 20 * ((int)c + 1), colour, names[c]);
  }
  fprintf(out, "</svg>\n");
  if (fclose(out) != 0) {
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "cannot write %s: %s", path, strerror(errno));
  }
  return FRESHET_OK;
}
