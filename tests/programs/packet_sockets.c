// Packet sockets: with and without link headers, on one interface and on all, filters, what they make the interface
// receive, options, one that only sends. What is lost is sent again.
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include "check.h"
#include "socket_options.h"

enum { kLoopback = 1, kPort = 7117 };

// UDP to our port, seen from the IP header on.
static struct sock_filter program[] = {
    {BPF_LD | BPF_B | BPF_ABS, 0, 0, 9},  {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, IPPROTO_UDP},
    {BPF_LD | BPF_H | BPF_ABS, 0, 0, 22}, {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, kPort},
    {BPF_RET | BPF_K, 0, 0, 0xffff},      {BPF_RET | BPF_K, 0, 0, 0}};
enum { kSteps = sizeof program / sizeof program[0] };

static int seen(int fd, int skip, int number) {
  char packet[300], text[16];
  struct pollfd one = {fd, POLLIN, 0};
  snprintf(text, sizeof text, "%08d", number);
  while (poll(&one, 1, 300) == 1) {
    ssize_t size = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) continue;  // moved in between: what waited is lost
    ssize_t headers = skip + (ssize_t)(sizeof(struct iphdr) + sizeof(struct udphdr));
    CHECK(size >= headers);
    if (size == headers + 8 && memcmp(packet + headers, text, 8) == 0) return 1;
  }
  return 0;
}

static void check_name(int fd, int protocol, int interface) {
  struct sockaddr_ll name;
  socklen_t length = sizeof name;
  CHECK(getsockname(fd, (struct sockaddr*)&name, &length) == 0);
  CHECK(name.sll_protocol == htons((unsigned short)protocol) && name.sll_ifindex == interface);
}

// How many have asked the loopback device to be promiscuous, as rtnetlink(7) tells it.
static unsigned promiscuity(void) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg body;
  } request = {.header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
               .body = {.ifi_index = kLoopback}};
  char answer[8192] __attribute__((aligned(8)));
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  CHECK(fd >= 0 && send(fd, &request, sizeof request, 0) == sizeof request && recv(fd, answer, sizeof answer, 0) > 0);
  CHECK(close(fd) == 0);
  struct nlmsghdr* header = (struct nlmsghdr*)answer;
  int left = (int)(header->nlmsg_len - NLMSG_LENGTH(sizeof(struct ifinfomsg)));
  struct rtattr* each = IFLA_RTA(NLMSG_DATA(header));
  for (; RTA_OK(each, left); each = RTA_NEXT(each, left)) {
    if (each->rta_type == IFLA_PROMISCUITY) return *(unsigned*)RTA_DATA(each);
  }
  CHECK(0);
}

static void leave(int fd) {
  struct packet_mreq mode = {.mr_ifindex = kLoopback, .mr_type = PACKET_MR_PROMISC};
  CHECK(setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &mode, sizeof mode) == 0);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  int cooked = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)), raw = socket(AF_PACKET, SOCK_RAW, 0);
  int sender = socket(AF_PACKET, SOCK_DGRAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK(cooked >= 0 && raw >= 0 && sender >= 0 && udp >= 0);
  struct sock_fprog filter = {kSteps, program};
  CHECK(setsockopt(cooked, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0);
  set(cooked, SOL_SOCKET, SO_LOCK_FILTER, 1);
  set(cooked, SOL_PACKET, PACKET_AUXDATA, 1);
  set(cooked, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
  struct sockaddr_ll name = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = kLoopback};
  CHECK(bind(raw, (struct sockaddr*)&name, sizeof name) == 0);
  struct packet_mreq mode = {.mr_ifindex = kLoopback, .mr_type = PACKET_MR_PROMISC};
  for (int i = 0; i < 2; ++i) CHECK(setsockopt(raw, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mode, sizeof mode) == 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(kPort), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int lost = 0, number = 0;
  ready();
  do {
    char text[16];
    ++number;
    snprintf(text, sizeof text, "%08d", number);
    for (int tries = 0;; ++tries, ++lost) {
      CHECK(tries < 20 && sendto(udp, text, 8, 0, (struct sockaddr*)&to, sizeof to) == 8);
      int first = seen(cooked, 0, number), second = seen(raw, ETH_HLEN, number);
      if (first && second) break;
    }
    pause_ms(2);
  } while (!told_to_stop());
  check_name(cooked, ETH_P_IP, 0);
  check_name(raw, ETH_P_IP, kLoopback);
  check_name(sender, 0, 0);
  struct sock_filter found[kSteps];
  socklen_t steps = kSteps;
  CHECK(getsockopt(cooked, SOL_SOCKET, SO_GET_FILTER, found, &steps) == 0 &&
        memcmp(found, program, sizeof program) == 0);
  CHECK(setsockopt(cooked, SOL_SOCKET, SO_DETACH_FILTER, &lost, sizeof lost) == -1 && errno == EPERM);
  CHECK(option(cooked, SOL_PACKET, PACKET_AUXDATA) == 1 && option(cooked, SOL_PACKET, PACKET_IGNORE_OUTGOING) == 1);
  CHECK(option(raw, SOL_PACKET, PACKET_AUXDATA) == 0);
  unsigned promiscuous = promiscuity();
  for (unsigned i = 1; i <= 3; ++i) {
    leave(raw);
    CHECK(promiscuity() == promiscuous - (i >= 2));  // asked for twice, had once
  }
  dprintf(1, "%d sent, %d lost\n", number, lost);
  CHECK(lost <= number / 50 + 6);
  return pass();
}
