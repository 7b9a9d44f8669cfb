/* SPDX-License-Identifier: MIT */
/**
 * The commands of the program. Each takes its own arguments, the name of the command first, and
 * returns the exit code.
 */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

/** All went well. */
#define COMMAND_OK 0
/** A value was missing or wrong. */
#define COMMAND_WRONG 1
/** The command line was wrong, or files, memory or the store failed. */
#define COMMAND_TROUBLE 2

/** Fills a store from files and reads everything back. */
int command_load(int argc, char **argv);

/** Takes commands for a store by hand. */
int command_repl(int argc, char **argv);

/** Runs a trace of requests and reports the hit ratio. */
int command_replay(int argc, char **argv);

#endif
