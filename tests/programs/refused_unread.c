// expect: refused socket.netlink.queue
// What the kernel has answered and nobody reads could not be put back at the destination: the move is refused by name,
// and the answer is still there afterwards.
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "check.h"

int main(int count, char** arguments) {
  begin(count, arguments);
  struct {
    struct nlmsghdr head;
    struct ifinfomsg body;
  } question = {{sizeof question, RTM_GETLINK, NLM_F_REQUEST, 7, 0}, {.ifi_index = 1}};
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  CHECK(fd >= 0 && send(fd, &question, sizeof question, 0) == sizeof question);
  ready();
  while (!told_to_stop()) pause_ms(5);
  _Alignas(struct nlmsghdr) char answer[8192];
  CHECK(recv(fd, answer, sizeof answer, MSG_DONTWAIT) > (ssize_t)sizeof question);
  CHECK(((struct nlmsghdr*)answer)->nlmsg_seq == 7);
  return pass();
}
