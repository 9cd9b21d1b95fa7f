/*
 * help.c: `freshet help`: the commands, the usage of one, or a topic of the manual; also as man pages. It owns
 * nothing: usage texts belong to the commands, topics to the manual.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands/commands.h"
#include "commands/manual/manual.h"
#include "freshet/freshet.h"

enum { WIDTH = 100 };

static const freshet_command* find(const char* name) {
  for (const freshet_command* const* c = freshet_commands; *c != NULL; c++) {
    if (strcmp((*c)->name, name) == 0) return *c;
  }
  return NULL;
}

static int print(freshet_buffer* text) {
  fwrite(text->data, 1, text->size, stdout);
  freshet_buffer_free(text);
  return FRESHET_EXIT_OK;
}

static void print_overview(void) {
  printf("freshet " FRESHET_VERSION
         ": recommendations as fresh as the stream\n\n"
         "usage: freshet COMMAND [OPTION...]\n\ncommands:\n");
  for (const freshet_command* const* c = freshet_commands; *c != NULL; c++) {
    printf("  %-11s  %s\n", (*c)->name, (*c)->summary);
  }
  printf("  %-11s  %s\n", "help", "this page, `freshet help COMMAND` or `freshet help TOPIC`");
  printf("  %-11s  %s\n\ntopics:\n", "version", "print the version");
  for (const freshet_manual_page* page = freshet_manual_pages; page->name != NULL; page++) {
    freshet_slice title = freshet_manual_title(page);
    if (find(page->name) == NULL) printf("    %-13s  %.*s\n", page->name, (int)title.size, title.data);
  }
}

static int print_table(const char* name) {
  freshet_buffer text = {0};
  if (freshet_manual_write_table(name, &text)) return print(&text);
  fprintf(stderr, "freshet help: no table '%s'; there are metrics and schemas\n", name);
  return FRESHET_EXIT_USAGE;
}

/* The man page of a command: its usage, and its page of the manual if it has one. */
static void write_command(const freshet_command* command, freshet_buffer* out) {
  char title[256];
  const freshet_manual_page* page = freshet_manual_find(command->name);
  freshet_buffer markdown = {0};
  int size = snprintf(title, sizeof title, "# %s\n\n```\n", command->summary);
  freshet_buffer_append(&markdown, title, (size_t)size);
  freshet_buffer_append(&markdown, command->usage, strlen(command->usage));
  freshet_buffer_append(&markdown, "\n```\n\n", 6);
  const char* text = page == NULL ? "" : page->text + freshet_manual_title(page).size + 2;
  freshet_buffer_append(&markdown, text, strlen(text) + 1);
  char name[64];
  snprintf(name, sizeof name, "freshet-%s", command->name);
  freshet_manual_page whole = {command->name, name, 1, page == NULL ? "its usage text" : page->source,
                               (const char*)markdown.data};
  freshet_manual_write_man(&whole, out);
  freshet_buffer_free(&markdown);
}

static int print_man(const char* topic) {
  const freshet_command* command = find(topic);
  const freshet_manual_page* page = freshet_manual_find(topic);
  freshet_buffer text = {0};
  if (command != NULL) {
    write_command(command, &text);
  } else if (page != NULL) {
    freshet_manual_write_man(page, &text);
  } else {
    fprintf(stderr, "freshet help: no command or topic '%s'; see `freshet help`\n", topic);
    return FRESHET_EXIT_USAGE;
  }
  return print(&text);
}

/* The names of all man pages and their topics, for the installation: "freshet.conf.5 settings". */
static int list_man_pages(void) {
  for (const freshet_command* const* c = freshet_commands; *c != NULL; c++) {
    printf("freshet-%s.1 %s\n", (*c)->name, (*c)->name);
  }
  for (const freshet_manual_page* page = freshet_manual_pages; page->name != NULL; page++) {
    if (find(page->name) == NULL) printf("%s.%d %s\n", page->man_name, page->section, page->name);
  }
  return FRESHET_EXIT_OK;
}

int freshet_help(int argc, char** argv) {
  if (argc > 2 && strcmp(argv[1], "--table") == 0) return print_table(argv[2]);
  if (argc > 2 && strcmp(argv[1], "--man") == 0) return print_man(argv[2]);
  if (argc > 1 && strcmp(argv[1], "--man") == 0) return list_man_pages();
  if (argc < 2) {
    print_overview();
    return FRESHET_EXIT_OK;
  }
  const freshet_command* command = find(argv[1]);
  if (command != NULL) {
    printf("%s", command->usage);
    return FRESHET_EXIT_OK;
  }
  const freshet_manual_page* page = freshet_manual_find(argv[1]);
  if (page != NULL) {
    freshet_buffer text = {0};
    freshet_manual_write_text(page, WIDTH, &text);
    return print(&text);
  }
  fprintf(stderr, "freshet: no command or topic '%s'; see `freshet help`\n", argv[1]);
  return FRESHET_EXIT_USAGE;
}
