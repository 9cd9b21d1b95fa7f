/*
 * main.c: picks the command, nothing else. Before that it makes sure that descriptors 0 to 2 are open, after it that all output was
 * written.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands/commands.h"
#include "commands/huge_pages.h"
#include "freshet/freshet.h"

static const freshet_command* find(const char* name) {
  for (const freshet_command* const* c = freshet_commands; *c != NULL; c++) {
    if (strcmp((*c)->name, name) == 0) return *c;
  }
  return NULL;
}

/* Where one of them is closed, the next file to be opened would take its place, and messages would be written into it:
 * into a database, for instance. */
static void open_standard_files(void) {
  int fd;
  do fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

/* What a full disk has swallowed must not look done. */
static int end(int code) {
  errno = 0;
  if (fflush(stdout) == 0 && !ferror(stdout)) return code;
  if (errno == EPIPE) return code; /* whoever read it wanted no more */
  fprintf(stderr, "freshet: not everything could be written to standard output%s%s\n", errno == 0 ? "" : ": ",
          errno == 0 ? "" : strerror(errno));
  return code == FRESHET_EXIT_OK ? FRESHET_EXIT_STATE : code;
}

static int run(int argc, char** argv) {
  char* overview[] = {"help", NULL};
  if (argc < 2) {
    freshet_help(1, overview);
    return FRESHET_EXIT_USAGE;
  }
  if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    return freshet_help(argc - 1, argv + 1);
  }
  if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
    printf("freshet " FRESHET_VERSION "\n");
    return FRESHET_EXIT_OK;
  }
  const freshet_command* command = find(argv[1]);
  bool asks_help = argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0);
  if (command == NULL) {
    fprintf(stderr, "freshet: no command '%s'; see `freshet help`\n", argv[1]);
    return FRESHET_EXIT_USAGE;
  }
  if (asks_help) return freshet_help(2, argv);
  if (command->has_model) freshet_huge_pages_ask(argv);
  return command->run(argc - 1, argv + 1);
}

int main(int argc, char** argv) {
  open_standard_files();
  return end(run(argc, argv));
}
