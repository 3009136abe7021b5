// Raw sockets of ICMP and ICMPv6: what the kernel filters for them, classic BPF filters, locked and not, options,
// bound and connected ones, one that makes its own IP headers. What is lost is sent again, as whoever uses them must.
#include <linux/filter.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sys/socket.h>

#include "check.h"
#include "socket_options.h"

enum { kIdentifier = 0x4711 };

static unsigned short checksum(const void* bytes, size_t length) {
  const unsigned short* words = bytes;
  unsigned sum = 0;
  for (; length > 1; length -= 2) sum += *words++;
  sum = (sum >> 16) + (sum & 0xffff);
  return (unsigned short)~(sum + (sum >> 16));
}

struct Echo {
  struct icmphdr header;
  char text[8];
};

static struct Echo echo_of(int number) {
  struct Echo echo = {.header = {.type = ICMP_ECHO}};
  echo.header.un.echo.id = htons(kIdentifier);
  echo.header.un.echo.sequence = htons((unsigned short)number);
  snprintf(echo.text, sizeof echo.text, "%07u", (unsigned)number % 10000000);
  echo.header.checksum = checksum(&echo, sizeof echo);
  return echo;
}

// Until the answer with that number has come: 1. Not within `patience`: 0.
static int answered(int fd, int number, int headers, int patience) {
  char packet[200];
  struct pollfd one = {fd, POLLIN, 0};
  while (poll(&one, 1, patience) == 1) {
    ssize_t size = recv(fd, packet, sizeof packet, 0);
    CHECK(size == (ssize_t)sizeof(struct Echo) + headers);
    struct Echo* echo = (struct Echo*)(packet + headers);
    CHECK(echo->header.type == (headers ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) &&
          ntohs(echo->header.un.echo.id) == kIdentifier);
    if (ntohs(echo->header.un.echo.sequence) == (unsigned short)number) return atoi(echo->text) == number;
  }
  return 0;
}

static int ask4(int fd, int number) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct Echo echo = echo_of(number);
  CHECK(sendto(fd, &echo, sizeof echo, 0, (struct sockaddr*)&to, sizeof to) == sizeof echo);
  return answered(fd, number, sizeof(struct iphdr), 300);
}

static int ask6(int fd, int number) {
  struct Echo echo = echo_of(number);
  echo.header.type = ICMP6_ECHO_REQUEST;  // the kernel sums it up
  CHECK(send(fd, &echo, sizeof echo, 0) == sizeof echo);
  return answered(fd, number, 0, 300);
}

static void ask(int (*by)(int, int), int fd, int number, int* lost) {
  for (int tries = 0; !by(fd, number); ++tries, ++*lost) CHECK(tries < 20);
}

// Lets in what bears our identifier.
static struct sock_filter program[] = {{BPF_LD | BPF_H | BPF_ABS, 0, 0, 24},
                                       {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, kIdentifier},
                                       {BPF_RET | BPF_K, 0, 0, 0xffff},
                                       {BPF_RET | BPF_K, 0, 0, 0}};
enum { kSteps = sizeof program / sizeof program[0] };

static void check_filter(int fd) {
  struct sock_filter found[kSteps];
  socklen_t steps = kSteps;
  CHECK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, found, &steps) == 0 && steps == kSteps);
  CHECK(memcmp(found, program, sizeof program) == 0);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  int free4 = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), locked4 = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  int six = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), own = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  CHECK(free4 >= 0 && locked4 >= 0 && six >= 0 && own >= 0);
  int only_replies = (int)~(1u << ICMP_ECHOREPLY);
  set(free4, SOL_RAW, ICMP_FILTER, only_replies);
  set(locked4, SOL_RAW, ICMP_FILTER, only_replies);
  set(free4, IPPROTO_IP, IP_TTL, 77);
  set(free4, SOL_SOCKET, SO_TIMESTAMP, 1);
  struct sock_fprog filter = {kSteps, program};
  CHECK(setsockopt(free4, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0);
  CHECK(setsockopt(locked4, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0);
  set(locked4, SOL_SOCKET, SO_LOCK_FILTER, 1);
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, found;
  CHECK(bind(locked4, (struct sockaddr*)&here, sizeof here) == 0);
  struct icmp6_filter replies;
  ICMP6_FILTER_SETBLOCKALL(&replies);
  ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &replies);
  CHECK(setsockopt(six, IPPROTO_ICMPV6, ICMP6_FILTER, &replies, sizeof replies) == 0);
  struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  CHECK(connect(six, (struct sockaddr*)&loopback, sizeof loopback) == 0);
  int lost = 0, number = 0;
  ready();
  do {
    ++number;
    ask(ask4, free4, number, &lost);
    CHECK(answered(locked4, number, sizeof(struct iphdr), 300) || ++lost);
    ask(ask6, six, number, &lost);
    pause_ms(2);
  } while (!told_to_stop());
  check_filter(free4);
  check_filter(locked4);
  CHECK(option(free4, IPPROTO_IP, IP_TTL) == 77 && option(free4, SOL_SOCKET, SO_TIMESTAMP) == 1);
  CHECK(option(free4, SOL_RAW, ICMP_FILTER) == only_replies && option(own, IPPROTO_IP, IP_HDRINCL) == 1);
  CHECK(setsockopt(free4, SOL_SOCKET, SO_DETACH_FILTER, &lost, sizeof lost) == 0);
  CHECK(setsockopt(locked4, SOL_SOCKET, SO_DETACH_FILTER, &lost, sizeof lost) == -1 && errno == EPERM);
  socklen_t length = sizeof found;
  CHECK(getsockname(locked4, (struct sockaddr*)&found, &length) == 0 && found.sin_addr.s_addr == here.sin_addr.s_addr);
  // With a header of its own.
  struct {
    struct iphdr header;
    struct Echo echo;
  } packet = {.header = {.version = 4, .ihl = 5, .ttl = 9, .protocol = IPPROTO_ICMP, .daddr = here.sin_addr.s_addr},
              .echo = echo_of(++number)};
  CHECK(sendto(own, &packet, sizeof packet, 0, (struct sockaddr*)&here, sizeof here) == sizeof packet);
  CHECK(answered(free4, number, sizeof(struct iphdr), 2000));
  dprintf(1, "%d asked, %d lost\n", number, lost);
  CHECK(lost <= number / 50 + 6);
  return pass();
}
