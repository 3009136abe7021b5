// expect: refused socket.netlink
// A netlink socket that is about more than the job's own network does not move: it is refused by name, and nothing
// happens to it.
#include <linux/netlink.h>
#include <sys/socket.h>

#include "check.h"

int main(int count, char** arguments) {
  begin(count, arguments);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK}, own;
  socklen_t length = sizeof own;
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
  CHECK(fd >= 0 && bind(fd, (struct sockaddr*)&address, sizeof address) == 0);
  CHECK(getsockname(fd, (struct sockaddr*)&own, &length) == 0 && own.nl_pid != 0);
  unsigned port = own.nl_pid;
  ready();
  while (!told_to_stop()) {
    CHECK(getsockname(fd, (struct sockaddr*)&own, &length) == 0 && own.nl_pid == port);
    pause_ms(5);
  }
  return pass();
}
