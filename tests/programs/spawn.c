// Children made by vfork, one after the other: the parent stands still until each has called execve, and each execve
// gives a new address space.
#include <spawn.h>

#include "check.h"

extern char** environ;

static void spawn_one(int number) {
  char text[16];
  snprintf(text, sizeof text, "exit %d", number % 100);
  char* arguments[] = {"sh", "-c", text, NULL};
  pid_t child;
  CHECK(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ) == 0);
  await_exit(child, number % 100);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  int number = 0;
  ready();
  while (!told_to_stop()) spawn_one(number++);
  CHECK(number > 10);
  return pass();
}
