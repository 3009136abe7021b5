// Integer options of a socket, for the self-checking programs.
#pragma once

#include <sys/socket.h>

#include "check.h"

static inline int option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  CHECK(getsockopt(fd, level, name, &value, &length) == 0);
  return value;
}
static inline void set(int fd, int level, int name, int value) {
  CHECK(setsockopt(fd, level, name, &value, sizeof value) == 0);
}
