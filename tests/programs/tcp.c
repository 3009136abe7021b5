// Established TCP connections between processes of one job, over IPv4 and IPv6: talking, with unread bytes on both
// sides, with more queued than the receiver takes, with options; a listening socket beside them.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "check.h"

static int listening(int family, uint16_t* port) {
  int fd = socket(family, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = family == AF_INET ? sizeof four : sizeof six;
  CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
  CHECK(bind(fd, family == AF_INET ? (struct sockaddr*)&four : (struct sockaddr*)&six, length) == 0);
  CHECK(listen(fd, 5) == 0);
  CHECK(getsockname(fd, (struct sockaddr*)&six, &length) == 0);
  *port = six.sin6_port;
  return fd;
}

static int connected(int family, uint16_t port) {
  int fd = socket(family, SOCK_STREAM, 0);
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = port};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = port};
  if (family == AF_INET) CHECK(connect(fd, (struct sockaddr*)&four, sizeof four) == 0);
  if (family == AF_INET6) CHECK(connect(fd, (struct sockaddr*)&six, sizeof six) == 0);
  return fd;
}

static void exchange(int from, int to, const char* text) {
  char got[100];
  CHECK(write(from, text, strlen(text)) == (ssize_t)strlen(text));
  CHECK(read(to, got, sizeof got) == (ssize_t)strlen(text) && memcmp(got, text, strlen(text)) == 0);
}

static unsigned char pattern(size_t at) { return (unsigned char)(at * 131 + (at >> 8) * 17 + (at >> 16)); }

int main(int count, char** arguments) {
  begin(count, arguments);
  uint16_t port4, port6;
  int listen4 = listening(AF_INET, &port4), listen6 = listening(AF_INET6, &port6);
  int client4 = connected(AF_INET, port4), server4 = accept(listen4, NULL, NULL);
  int client6 = connected(AF_INET6, port6), server6 = accept(listen6, NULL, NULL);
  int bulk_out = connected(AF_INET, port4), bulk_in = accept(listen4, NULL, NULL);
  int talk = connected(AF_INET, port4), other = accept(listen4, NULL, NULL);
  int one = 1, idle = 77, word;
  CHECK(setsockopt(client4, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
  CHECK(setsockopt(client4, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one) == 0);
  CHECK(setsockopt(client4, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) == 0);
  CHECK(setsockopt(client4, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) == 0);
  CHECK(write(client6, "unread", 6) == 6 && write(server6, "also unread", 11) == 11);
  // As much as goes in: part of it is at the receiver, part waits at the sender.
  CHECK(fcntl(bulk_out, F_SETFL, O_NONBLOCK) == 0);
  size_t written = 0, received = 0;
  unsigned char block[4096];
  for (;;) {
    for (size_t i = 0; i < sizeof block; i++) block[i] = pattern(written + i);
    ssize_t now = write(bulk_out, block, sizeof block);
    if (now < 0) break;
    written += (size_t)now;
  }
  CHECK(errno == EAGAIN && written > 100000);
  pid_t child = fork();
  if (child == 0) {
    close(talk), close(client6);
    while (read(other, &word, sizeof word) == sizeof word) {
      word = word * 3 + 1;
      CHECK(write(other, &word, sizeof word) == sizeof word);
    }
    _exit(5);
  }
  close(other);
  ready();
  for (int i = 0; !told_to_stop(); i++) {
    CHECK(write(talk, &i, sizeof i) == sizeof i && read(talk, &word, sizeof word) == sizeof word && word == i * 3 + 1);
    exchange(client4, server4, "request"), exchange(server4, client4, "answer");
    // A little of the bulk is taken, and a little more sent.
    ssize_t got = read(bulk_in, block, 1000);
    CHECK(got > 0);
    for (ssize_t k = 0; k < got; k++) CHECK(block[k] == pattern(received + (size_t)k));
    received += (size_t)got;
    for (size_t k = 0; k < 1000; k++) block[k] = pattern(written + k);
    ssize_t now = write(bulk_out, block, 1000);
    if (now > 0) written += (size_t)now;
    pause_ms(1);
  }
  while (received < written) {
    ssize_t got = read(bulk_in, block, sizeof block);
    CHECK(got > 0);
    for (ssize_t k = 0; k < got; k++) CHECK(block[k] == pattern(received + (size_t)k));
    received += (size_t)got;
  }
  CHECK(recv(bulk_in, block, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
  char text[100];
  CHECK(read(server6, text, sizeof text) == 6 && memcmp(text, "unread", 6) == 0);
  CHECK(read(client6, text, sizeof text) == 11 && memcmp(text, "also unread", 11) == 0);
  socklen_t length = sizeof word;
  CHECK(getsockopt(client4, IPPROTO_TCP, TCP_NODELAY, &word, &length) == 0 && word == 1);
  CHECK(getsockopt(client4, IPPROTO_TCP, TCP_KEEPIDLE, &word, &length) == 0 && word == 77);
  CHECK(getsockopt(client4, SOL_SOCKET, SO_KEEPALIVE, &word, &length) == 0 && word == 1);
  CHECK(getsockopt(server4, SOL_SOCKET, SO_REUSEADDR, &word, &length) == 0 && word == 1);
  length = sizeof text;
  CHECK(getsockopt(client4, IPPROTO_TCP, TCP_CONGESTION, text, &length) == 0 && strcmp(text, "reno") == 0);
  int late = connected(AF_INET, port4), latest = accept(listen4, NULL, NULL);
  exchange(late, latest, "late");
  close(client6);
  CHECK(read(server6, text, 1) == 0);
  close(talk);
  CHECK(waitpid(child, &word, 0) == child && WEXITSTATUS(word) == 5);
  return pass();
}
