// Connections that wait to be accepted, in order, with what they have said already, some of them at their end; and such
// as are not complete before they say something (TCP_DEFER_ACCEPT). A connection that is asked for and not answered,
// since the queue is full.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "check.h"

enum { kWaiting = 6, kMuch = 30000 };
static struct sockaddr_in address = {.sin_family = AF_INET}, deferred_address = {.sin_family = AF_INET};
static char much[kMuch];

static int listening(struct sockaddr_in* where, int deferred) {
  int fd = socket(AF_INET6, SOCK_STREAM, 0), seconds = 100;
  struct sockaddr_in6 any = {.sin6_family = AF_INET6};
  socklen_t length = sizeof any;
  if (deferred) CHECK(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds) == 0);
  CHECK(bind(fd, (struct sockaddr*)&any, sizeof any) == 0 && listen(fd, 50) == 0);
  CHECK(getsockname(fd, (struct sockaddr*)&any, &length) == 0);
  where->sin_port = any.sin6_port;
  where->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return fd;
}

static struct sockaddr_in full_address = {.sin_family = AF_INET};

// Nobody accepts there; the second request is not answered.
static int full(int* waits, int* asks) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  socklen_t length = sizeof full_address;
  full_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr*)&full_address, sizeof full_address) == 0 && listen(fd, 0) == 0);
  CHECK(getsockname(fd, (struct sockaddr*)&full_address, &length) == 0);
  *waits = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(*waits, (struct sockaddr*)&full_address, sizeof full_address) == 0);
  *asks = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK(connect(*asks, (struct sockaddr*)&full_address, sizeof full_address) == -1 && errno == EINPROGRESS);
  return fd;
}

static void empty_full(int fd, int waits, int asks) {
  struct pollfd one = {asks, POLLOUT, 0};
  CHECK(poll(&one, 1, 0) == 0);
  int first = accept(fd, NULL, NULL), failed = -1;
  socklen_t length = sizeof failed;
  CHECK(first >= 0 && write(first, "first", 5) == 5);
  char text[5];
  CHECK(recv(waits, text, 5, MSG_WAITALL) == 5 && memcmp(text, "first", 5) == 0);
  CHECK(poll(&one, 1, 20000) == 1 && one.revents == POLLOUT);
  CHECK(getsockopt(asks, SOL_SOCKET, SO_ERROR, &failed, &length) == 0 && failed == 0);
  int second = accept(fd, NULL, NULL);
  CHECK(second >= 0 && write(asks, "asked", 5) == 5 && recv(second, text, 5, MSG_WAITALL) == 5);
  CHECK(memcmp(text, "asked", 5) == 0);
}

static int connected(int number) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(fd, (struct sockaddr*)&address, sizeof address) == 0);
  CHECK(write(fd, &number, sizeof number) == sizeof number);
  if (number % 3 == 1) CHECK(write(fd, much, kMuch) == kMuch);
  if (number % 3 == 2) CHECK(shutdown(fd, SHUT_WR) == 0);
  return fd;
}

static void expect(int fd, void* bytes, size_t count) { CHECK(recv(fd, bytes, count, MSG_WAITALL) == (ssize_t)count); }

static void serve(int listener, int client, int number) {
  struct sockaddr_in6 who;
  struct sockaddr_in own;
  socklen_t length = sizeof who, own_length = sizeof own;
  int fd = accept(listener, (struct sockaddr*)&who, &length), got = 0;
  CHECK(fd >= 0 && getsockname(client, (struct sockaddr*)&own, &own_length) == 0 && own.sin_port == who.sin6_port);
  expect(fd, &got, sizeof got);
  CHECK(got == number);
  static char again[kMuch];
  if (number % 3 == 1) {
    expect(fd, again, kMuch);
    CHECK(memcmp(again, much, kMuch) == 0);
  }
  if (number % 3 == 2) CHECK(read(fd, again, 1) == 0);
  CHECK(write(fd, &number, sizeof number) == sizeof number && write(fd, much, kMuch) == kMuch);
  expect(client, &got, sizeof got);
  CHECK(got == number);
  expect(client, again, kMuch);
  CHECK(memcmp(again, much, kMuch) == 0);
  close(fd), close(client);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  for (int i = 0; i < kMuch; i++) much[i] = (char)(i * 7 + i / 256);
  int listener = listening(&address, 0), deferred = listening(&deferred_address, 1);
  int clients[kWaiting], first = 0, silent = -1;
  for (int i = 0; i < kWaiting; i++) clients[i] = connected(i);
  int waits, asks, crowded = full(&waits, &asks);
  ready();
  int stop = 0;
  for (int turn = 0; !stop; turn++) {
    stop = told_to_stop();
    if (silent < 0) {
      silent = socket(AF_INET, SOCK_STREAM, 0);
      CHECK(connect(silent, (struct sockaddr*)&deferred_address, sizeof address) == 0);
    }
    pause_ms(20);
    serve(listener, clients[first % kWaiting], first);
    clients[first % kWaiting] = connected(first + kWaiting);
    first++;
    if (turn % 4 == 3 || stop) {
      char text[5];
      CHECK(write(silent, "hello", 5) == 5);
      int fd = accept(deferred, NULL, NULL);
      CHECK(fd >= 0);
      expect(fd, text, 5);
      CHECK(memcmp(text, "hello", 5) == 0 && write(fd, "back!", 5) == 5);
      expect(silent, text, 5);
      close(silent), close(fd);
      silent = -1;
    }
  }
  for (int i = 0; i < kWaiting; i++) serve(listener, clients[(first + i) % kWaiting], first + i);
  empty_full(crowded, waits, asks);
  return pass();
}
