// Connections within the job of which one end is closed at once with megabytes that the other, a slow reader with a
// small window, has not received: each must still see all of it and then the end. Over both versions of IP.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

#include "check.h"

enum { BYTES = 1500000, PIECE = 3000, READERS = 3 };

static unsigned char byte_at(size_t at, unsigned round) { return (unsigned char)(at * 31 + at / 251 + round); }

// With so much room that the writer need not wait.
static void write_and_close(int fd, unsigned round) {
  static unsigned char bytes[BYTES];
  for (size_t at = 0; at < BYTES; at++) bytes[at] = byte_at(at, round);
  CHECK(send(fd, bytes, BYTES, MSG_DONTWAIT) == BYTES && close(fd) == 0);
}

static int connected_pair(int ends[2], int family) {
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  struct sockaddr_storage address = {0};
  socklen_t length = family == AF_INET ? sizeof four : sizeof six;
  memcpy(&address, family == AF_INET ? (void*)&four : (void*)&six, length);
  int listener = socket(family, SOCK_STREAM, 0), small = 8192, large = 2 * BYTES;
  CHECK(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
  CHECK(bind(listener, (struct sockaddr*)&address, length) == 0 && listen(listener, 1) == 0);
  CHECK(getsockname(listener, (struct sockaddr*)&address, &length) == 0);
  ends[0] = socket(family, SOCK_STREAM, 0);
  CHECK(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof large) == 0 ||
        setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &large, sizeof large) == 0);
  CHECK(connect(ends[0], (struct sockaddr*)&address, length) == 0);
  ends[1] = accept(listener, NULL, NULL);
  CHECK(ends[1] >= 0);
  return close(listener);
}

// Until it is told to stop; never in the midst of a stream.
static void* read_slowly(void* argument) {
  int family = (uintptr_t)argument % 2 == 0 ? AF_INET : AF_INET6;
  for (unsigned round = (unsigned)(uintptr_t)argument; !told_to_stop(); round++) {
    int ends[2];
    CHECK(connected_pair(ends, family) == 0);
    pid_t writer = fork();  // the last descriptor of that end goes with it
    if (writer == 0) {
      write_and_close(ends[0], round);
      _exit(0);
    }
    CHECK(close(ends[0]) == 0);
    await_exit(writer, 0);
    if (round % 3 == 2) CHECK(shutdown(ends[1], SHUT_WR) == 0);  // both have ended then
    unsigned char bytes[PIECE];
    size_t have = 0;
    for (ssize_t got; (got = read(ends[1], bytes, sizeof bytes)) != 0; have += (size_t)got) {
      CHECK(got > 0);
      for (ssize_t i = 0; i < got; i++) CHECK(bytes[i] == byte_at(have + (size_t)i, round));
      if (have % 3 == 0) pause_ms(1);
    }
    CHECK(have == BYTES && close(ends[1]) == 0);
  }
  return NULL;
}

int main(int count, char** arguments) {
  begin(count, arguments);
  pthread_t readers[READERS];
  for (uintptr_t i = 0; i < READERS; i++) CHECK(pthread_create(&readers[i], NULL, read_slowly, (void*)i) == 0);
  ready();
  for (int i = 0; i < READERS; i++) CHECK(pthread_join(readers[i], NULL) == 0);
  return pass();
}
