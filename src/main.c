/*
 * main.c: picks the command, nothing else. Before that it makes sure that descriptors 0 to 2 are open.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands/commands.h"
#include "freshet/freshet.h"

static const freshet_command* find(const char* name) {
  for (const freshet_command* const* c = freshet_commands; *c != NULL; c++) {
    if (strcmp((*c)->name, name) == 0) return *c;
  }
  return NULL;
}

static int print_help(const char* topic) {
  const freshet_command* command = topic == NULL ? NULL : find(topic);
  if (command != NULL) {
    printf("%s", command->usage);
    return FRESHET_EXIT_OK;
  }
  if (topic != NULL) {
    fprintf(stderr, "freshet: no command '%s'; see `freshet help`\n", topic);
    return FRESHET_EXIT_USAGE;
  }
  printf("freshet " FRESHET_VERSION
         ": recommendations as fresh as the stream\n\n"
         "usage: freshet COMMAND [OPTION...]\n\ncommands:\n");
  for (const freshet_command* const* c = freshet_commands; *c != NULL; c++) {
    printf("  %-11s  %s\n", (*c)->name, (*c)->summary);
  }
  printf("  %-11s  %s\n", "help", "this page, or `freshet help COMMAND`");
  printf("  %-11s  %s\n", "version", "print the version");
  return FRESHET_EXIT_OK;
}

/* Where one of them is closed, the next file to be opened would take its place, and messages would be written into it:
 * into a database, for instance. */
static void open_standard_files(void) {
  int fd;
  do fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

int main(int argc, char** argv) {
  open_standard_files();
  if (argc < 2) {
    print_help(NULL);
    return FRESHET_EXIT_USAGE;
  }
  if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    return print_help(argc > 2 ? argv[2] : NULL);
  }
  if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
    printf("freshet " FRESHET_VERSION "\n");
    return FRESHET_EXIT_OK;
  }
  const freshet_command* command = find(argv[1]);
  if (command == NULL) return print_help(argv[1]);
  if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) return print_help(argv[1]);
  return command->run(argc - 1, argv + 1);
}
