/*
 * commands.h: what a command is: a name, a line for `freshet help`, its usage text, and a function. One file
 * each, or a folder for a large one; main.c only picks.
 */
#ifndef FRESHET_COMMANDS_COMMANDS_H
#define FRESHET_COMMANDS_COMMANDS_H

#include <stdbool.h>

/* Exit codes, the same for every command. */
enum {
  FRESHET_EXIT_OK = 0,
  FRESHET_EXIT_FAILED = 1,      /* it failed; the message says why */
  FRESHET_EXIT_USAGE = 2,       /* unknown option or bad configuration */
  FRESHET_EXIT_REJECTS = 3,     /* done, but some input was rejected */
  FRESHET_EXIT_FENCED = 4,      /* another instance took over */
  FRESHET_EXIT_STATE = 5,       /* the state folder is in use, foreign or full, or a topic is made wrong */
  FRESHET_EXIT_UNAVAILABLE = 6, /* a broker, topic or server that is needed is not there */
};

typedef struct freshet_command {
  const char* name;
  const char* summary;               /* one line, for `freshet help` */
  const char* usage;                 /* whole text of `freshet help NAME` */
  int (*run)(int argc, char** argv); /* argv[0] is the command's name; returns an exit code */
  bool has_model;                    /* in its memory, which may be large: see huge_pages.h */
} freshet_command;

/* Each file in src/commands defines one; commands.c lists them. */
extern const freshet_command freshet_command_evaluate;
extern const freshet_command freshet_command_bench;
extern const freshet_command freshet_command_embed;
extern const freshet_command freshet_command_backfill;
extern const freshet_command freshet_command_run;
extern const freshet_command freshet_command_recommend;
extern const freshet_command freshet_command_explain_weights;
extern const freshet_command freshet_command_replay;
extern const freshet_command freshet_command_offsets;
extern const freshet_command freshet_command_demo;
extern const freshet_command freshet_command_fetch_model;
extern const freshet_command freshet_command_topics;
extern const freshet_command freshet_command_repair;
extern const freshet_command freshet_command_erase;
extern const freshet_command freshet_command_doctor;
extern const freshet_command freshet_command_config;
extern const freshet_command freshet_command_export;
extern const freshet_command freshet_command_import;

/* `freshet help`: argv[0] is "help"; returns an exit code. */
int freshet_help(int argc, char** argv);

/* The table, ended by NULL. */
extern const freshet_command* const freshet_commands[];

#endif
