// UDP: named and connected sockets that talk, datagrams that wait with their senders' addresses, options, a multicast
// group; UDP-Lite where the kernel has it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "check.h"

static int bound(int family, int protocol, struct sockaddr_in6* at) {
  int fd = socket(family, SOCK_DGRAM, protocol);
  CHECK(fd >= 0);
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = family == AF_INET ? sizeof four : sizeof six;
  CHECK(bind(fd, family == AF_INET ? (struct sockaddr*)&four : (struct sockaddr*)&six, length) == 0);
  length = sizeof *at;
  CHECK(getsockname(fd, (struct sockaddr*)at, &length) == 0);
  return fd;
}

static socklen_t size_of(int family) {
  return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static void expect(int fd, const char* text, const struct sockaddr_in6* from) {
  char got[100];
  struct sockaddr_in6 who;
  socklen_t length = sizeof who;
  ssize_t have = recvfrom(fd, got, sizeof got, MSG_DONTWAIT, (struct sockaddr*)&who, &length);
  CHECK(have == (ssize_t)strlen(text) && memcmp(got, text, strlen(text)) == 0);
  if (from) CHECK(who.sin6_port == from->sin6_port && length == size_of(from->sin6_family));
}

int main(int count, char** arguments) {
  begin(count, arguments);
  struct sockaddr_in6 where[6];
  int receiver4 = bound(AF_INET, 0, &where[0]), sender4 = bound(AF_INET, 0, &where[1]);
  int receiver6 = bound(AF_INET6, 0, &where[2]), sender6 = bound(AF_INET6, 0, &where[3]);
  int client = socket(AF_INET, SOCK_DGRAM, 0), tos = 16, one = 1;
  CHECK(connect(client, (struct sockaddr*)&where[1], size_of(AF_INET)) == 0);
  CHECK(setsockopt(client, IPPROTO_IP, IP_TOS, &tos, sizeof tos) == 0);
  CHECK(setsockopt(client, SOL_SOCKET, SO_BROADCAST, &one, sizeof one) == 0);
  struct ip_mreqn group = {.imr_multiaddr = {htonl(0xef010203)}, .imr_ifindex = 1};
  int member = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = group.imr_multiaddr, .sin_port = htons(7777)};
  CHECK(setsockopt(member, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) == 0);
  CHECK(bind(member, (struct sockaddr*)&to, sizeof to) == 0);
  CHECK(setsockopt(sender4, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof one) == 0);
  CHECK(sendto(sender4, "first", 5, 0, (struct sockaddr*)&where[0], size_of(AF_INET)) == 5);
  CHECK(sendto(sender4, "", 0, 0, (struct sockaddr*)&where[0], size_of(AF_INET)) == 0);
  CHECK(sendto(sender6, "six", 3, 0, (struct sockaddr*)&where[2], size_of(AF_INET6)) == 3);
  CHECK(sendto(sender4, "third", 5, 0, (struct sockaddr*)&where[0], size_of(AF_INET)) == 5);
  int lite = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
  if (lite >= 0) close(lite), lite = bound(AF_INET, IPPROTO_UDPLITE, &where[4]);
  if (lite >= 0) CHECK(sendto(lite, "lite", 4, 0, (struct sockaddr*)&where[4], size_of(AF_INET)) == 4);
  ready();
  while (!told_to_stop()) {
    char text[20];
    struct sockaddr_in who;
    socklen_t length = sizeof who;
    CHECK(send(client, "ping", 4, 0) == 4);
    CHECK(recvfrom(sender4, text, sizeof text, 0, (struct sockaddr*)&who, &length) == 4);
    CHECK(sendto(sender4, "pong", 4, 0, (struct sockaddr*)&who, length) == 4 &&
          recv(client, text, sizeof text, 0) == 4);
    pause_ms(2);
  }
  expect(receiver4, "first", &where[1]), expect(receiver4, "", &where[1]), expect(receiver4, "third", &where[1]);
  expect(receiver6, "six", &where[3]);
  CHECK(recv(receiver4, &one, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
  socklen_t length = sizeof tos;
  CHECK(getsockopt(client, IPPROTO_IP, IP_TOS, &tos, &length) == 0 && tos == 16);
  struct ip_mreqn over = {.imr_ifindex = 1};
  CHECK(setsockopt(sender4, IPPROTO_IP, IP_MULTICAST_IF, &over, sizeof over) == 0);
  CHECK(sendto(sender4, "all", 3, 0, (struct sockaddr*)&to, sizeof to) == 3);
  pause_ms(20);
  expect(member, "all", NULL);
  if (lite >= 0) expect(lite, "lite", &where[4]);
  return pass();
}
