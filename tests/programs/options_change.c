// Options that are set again and again, also while the program moves and on sockets that have moved before: what was
// set last is what a socket has. A listening one, both ends of a connection, a datagram socket.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "check.h"

enum { SOCKETS = 4 };

static int bound(int type, struct sockaddr_in* address) {
  socklen_t length = sizeof *address;
  int fd = socket(AF_INET, type, 0);
  *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  CHECK(fd >= 0 && bind(fd, (struct sockaddr*)address, sizeof *address) == 0);
  CHECK(getsockname(fd, (struct sockaddr*)address, &length) == 0);
  return fd;
}

static void check_option(int fd, int level, int name, int expected) {
  int value = -1;
  socklen_t length = sizeof value;
  CHECK(getsockopt(fd, level, name, &value, &length) == 0 && value == expected);
}

static void set_option(int fd, int level, int name, int value) {
  CHECK(setsockopt(fd, level, name, &value, sizeof value) == 0);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  struct sockaddr_in address, other;
  int sockets[SOCKETS];
  sockets[0] = bound(SOCK_STREAM, &address);
  CHECK(listen(sockets[0], 4) == 0);
  sockets[1] = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(sockets[1], (struct sockaddr*)&address, sizeof address) == 0);
  sockets[2] = accept(sockets[0], NULL, NULL);
  sockets[3] = bound(SOCK_DGRAM, &other);
  int now = 0;
  for (int i = 0; i < SOCKETS; i++) set_option(sockets[i], IPPROTO_IP, IP_TTL, now % 200 + 1);
  ready();
  while (!told_to_stop()) {
    for (int turn = 0; turn < 20; turn++) {
      for (int i = 0; i < SOCKETS; i++) {
        check_option(sockets[i], IPPROTO_IP, IP_TTL, now % 200 + 1);
        set_option(sockets[i], IPPROTO_IP, IP_TTL, (now + 1) % 200 + 1);
      }
      now++;
    }
    pause_ms(1);
  }
  return pass();
}
