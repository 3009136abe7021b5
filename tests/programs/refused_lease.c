// expect: refused descriptor.lease
// A lease does not move: it is refused by name, and nothing happens to it.
#include <fcntl.h>

#include "check.h"

int main(int count, char** arguments) {
  begin(count, arguments);
  char path[100];
  snprintf(path, sizeof path, "/tmp/lease-%d-%ld", getpid(), (long)time(NULL));
  int fd = open(path, O_RDONLY | O_CREAT, 0600);
  CHECK(fd >= 0 && fcntl(fd, F_SETLEASE, F_RDLCK) == 0);
  ready();
  while (!told_to_stop()) {
    CHECK(fcntl(fd, F_GETLEASE) == F_RDLCK);
    pause_ms(5);
  }
  CHECK(unlink(path) == 0);
  return pass();
}
