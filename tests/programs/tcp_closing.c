// TCP connections that end: shut down at one side, by both, with bytes still to be read, with a peer that is gone;
// sockets that are not connected yet, and that are not any more.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "check.h"

static struct sockaddr_in address = {.sin_family = AF_INET};
static int listener;

static void connection(int ends[2]) {
  ends[0] = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(ends[0], (struct sockaddr*)&address, sizeof address) == 0);
  CHECK((ends[1] = accept(listener, NULL, NULL)) >= 0);
}

static void expect(int fd, const char* text) {
  char got[100];
  ssize_t have = recv(fd, got, sizeof got, 0);
  CHECK(have == (ssize_t)strlen(text) && memcmp(got, text, strlen(text)) == 0);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  listener = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(listener, (struct sockaddr*)&address, sizeof address) == 0 && listen(listener, 5) == 0);
  CHECK(getsockname(listener, (struct sockaddr*)&address, &length) == 0);
  int half[2], both[2], gone[2], read_off[2], untouched[2];
  connection(half), connection(both), connection(gone), connection(read_off), connection(untouched);
  CHECK(write(half[0], "last words", 10) == 10 && shutdown(half[0], SHUT_WR) == 0);
  CHECK(write(both[0], "bye", 3) == 3 && shutdown(both[0], SHUT_WR) == 0 && shutdown(both[1], SHUT_WR) == 0);
  CHECK(write(gone[0], "farewell", 8) == 8 && close(gone[0]) == 0);
  CHECK(shutdown(read_off[1], SHUT_RD) == 0);
  int fresh = socket(AF_INET, SOCK_STREAM, 0), bound = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  CHECK(bind(bound, (struct sockaddr*)&own, sizeof own) == 0);
  length = sizeof own;
  CHECK(getsockname(bound, (struct sockaddr*)&own, &length) == 0);
  ready();
  while (!told_to_stop()) {
    CHECK(write(half[1], "x", 1) == 1);
    expect(half[0], "x");
    CHECK(write(untouched[0], "y", 1) == 1);
    expect(untouched[1], "y");
    pause_ms(2);
  }
  char byte;
  expect(half[1], "last words");
  CHECK(read(half[1], &byte, 1) == 0);
  CHECK(write(half[1], "answer", 6) == 6);
  expect(half[0], "answer");
  CHECK(send(half[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
  expect(both[1], "bye");
  CHECK(read(both[1], &byte, 1) == 0 && read(both[0], &byte, 1) == 0);
  CHECK(send(both[1], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
  expect(gone[1], "farewell");
  CHECK(read(gone[1], &byte, 1) == 0);
  CHECK(write(read_off[0], "z", 1) == 1 && write(read_off[1], "back", 4) == 4);
  expect(read_off[0], "back");
  CHECK(connect(fresh, (struct sockaddr*)&address, sizeof address) == 0);
  CHECK(connect(bound, (struct sockaddr*)&address, sizeof address) == 0);
  struct sockaddr_in who;
  length = sizeof who;
  int first = accept(listener, NULL, NULL), second = accept(listener, (struct sockaddr*)&who, &length);
  CHECK(first >= 0 && second >= 0 && who.sin_port == own.sin_port);
  CHECK(write(fresh, "fresh", 5) == 5);
  expect(first, "fresh");
  return pass();
}
