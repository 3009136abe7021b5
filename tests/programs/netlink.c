// Netlink: a socket with a port of its own that asks the kernel again and again, one with options and groups that hears
// of new addresses.
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "check.h"

static int opened(unsigned port, unsigned* own_port) {
  struct sockaddr_nl own = {.nl_family = AF_NETLINK, .nl_pid = port};
  socklen_t length = sizeof own;
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  CHECK(fd >= 0 && bind(fd, (struct sockaddr*)&own, sizeof own) == 0);
  CHECK(getsockname(fd, (struct sockaddr*)&own, &length) == 0);
  *own_port = own.nl_pid;
  return fd;
}

// Asks for the loopback interface; the answer is to this port and this question.
static void ask(int fd, unsigned port) {
  static unsigned number;
  struct {
    struct nlmsghdr head;
    struct ifinfomsg body;
  } question = {{sizeof question, RTM_GETLINK, NLM_F_REQUEST, ++number, port}, {.ifi_index = 1}};
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  CHECK(sendto(fd, &question, sizeof question, 0, (struct sockaddr*)&kernel, sizeof kernel) == sizeof question);
  _Alignas(struct nlmsghdr) char answer[8192];
  ssize_t size = recv(fd, answer, sizeof answer, 0);
  struct nlmsghdr* head = (struct nlmsghdr*)answer;
  CHECK(size > (ssize_t)sizeof question && head->nlmsg_type == RTM_NEWLINK);
  CHECK(head->nlmsg_seq == number && head->nlmsg_pid == port);
  CHECK(((struct ifinfomsg*)NLMSG_DATA(head))->ifi_index == 1);
}

static void change_address(int fd, int type, int flags) {
  struct {
    struct nlmsghdr head;
    struct ifaddrmsg body;
    struct rtattr what;
    unsigned char address[4];
  } wanted = {
      {sizeof wanted, type, NLM_F_REQUEST | flags, 1, 0}, {AF_INET, 32, 0, 0, 1}, {8, IFA_LOCAL}, {127, 9, 9, 9}};
  CHECK(send(fd, &wanted, sizeof wanted, 0) == sizeof wanted);
}

// Hears that the address comes and goes; nothing else was heard before.
static void hear(int fd) {
  int other = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  CHECK(other >= 0);
  change_address(other, RTM_NEWADDR, NLM_F_CREATE);
  change_address(other, RTM_DELADDR, 0);
  close(other);
  for (int type = RTM_NEWADDR; type <= RTM_DELADDR; ++type) {
    _Alignas(struct nlmsghdr) char heard[8192];
    CHECK(recv(fd, heard, sizeof heard, MSG_DONTWAIT) > 0 && ((struct nlmsghdr*)heard)->nlmsg_type == type);
    CHECK(((struct ifaddrmsg*)NLMSG_DATA((struct nlmsghdr*)heard))->ifa_index == 1);
  }
}

int main(int count, char** arguments) {
  begin(count, arguments);
  unsigned port, given, one = 1, groups[2], group = RTNLGRP_IPV4_IFADDR;
  int asking = opened(0, &port), listening = opened(77777, &given);
  CHECK(port != 0 && given == 77777);
  CHECK(setsockopt(listening, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0);
  CHECK(setsockopt(listening, SOL_NETLINK, NETLINK_PKTINFO, &one, sizeof one) == 0);
  int hears = geteuid() == 0;
  ready();
  for (unsigned asked = 0; asked % 1000 != 0 || !told_to_stop(); ++asked) {
    ask(asking, port);
    if (asked % 1000 == 0) pause_ms(3);
  }
  ask(asking, port);
  struct sockaddr_nl own;
  socklen_t length = sizeof own;
  CHECK(getsockname(listening, (struct sockaddr*)&own, &length) == 0 && own.nl_pid == 77777);
  CHECK(own.nl_groups == 1u << (RTNLGRP_IPV4_IFADDR - 1));
  length = sizeof groups;
  CHECK(getsockopt(listening, SOL_NETLINK, NETLINK_PKTINFO, groups, &length) == 0 && groups[0] == 1);
  if (hears) hear(listening);
  return pass();
}
