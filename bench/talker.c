// Talks over one TCP connection and measures what a partner of a moving program sees; used by bench/messages.
//   talker serve PORT              answers every message; whoever says a single byte is sent bytes for as long as he
//   listens talker ask ADDRESS PORT HZ FLAG      a question every 1/HZ s until FLAG is there: prints "TIME_NS GAP_NS"
//   of each gap
//                                        above 0.3 ms, then "median_rtt_us N"; HZ 0: as fast as answers come
//   talker bulk ADDRESS PORT FLAG        prints "TIME_NS BYTES" for each 5 ms that it receives
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char* what) {
  perror(what);
  exit(1);
}

static char block[1 << 18];

static void* serve_one(void* argument) {
  int fd = (int)(long)argument, one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  char message[64];
  for (;;) {
    ssize_t got = recv(fd, message, sizeof message, 0);
    if (got <= 0) break;
    if (got == 1) {
      while (send(fd, block, sizeof block, MSG_NOSIGNAL) > 0) {
      }
      break;
    }
    if (send(fd, message, (size_t)got, MSG_NOSIGNAL) != got) break;
  }
  close(fd);
  return NULL;
}

static void serve(const char* port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr*)&address, sizeof address) != 0 || listen(listener, 50) != 0) fail("listen");
  printf("ready\n");
  fflush(stdout);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) fail("accept");
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve_one, (void*)(long)fd) == 0) pthread_detach(thread);
  }
}

static int connected(const char* host, const char* port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail("address");
  if (connect(fd, (struct sockaddr*)&address, sizeof address) != 0) fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static int by_size(const void* a, const void* b) {
  return *(const int*)a < *(const int*)b ? -1 : *(const int*)a > *(const int*)b;
}

static void ask(int fd, long hz, const char* flag) {
  enum { kMost = 4000000, kNoticed = 300000 };
  static int times[kMost];
  long count = 0;
  long long begin = now_ns(), last = begin;
  for (long long number = 0; count < kMost; number++) {
    long long due = hz > 0 ? begin + number * 1000000000LL / hz : 0, asked = now_ns(), heard = 0;
    if (due > asked) {
      struct timespec pause = {0, due - asked};
      nanosleep(&pause, NULL);
      asked = now_ns();
    }
    if (send(fd, &number, sizeof number, MSG_NOSIGNAL) != sizeof number) fail("send");
    if (recv(fd, &heard, sizeof heard, MSG_WAITALL) != sizeof heard || heard != number) fail("wrong answer");
    long long end = now_ns();
    times[count++] = (int)(end - asked);
    if (hz > 0 && end - last > 1000000000LL / hz + kNoticed) printf("%lld %lld\n", end, end - last);
    last = end;
    if (count % 64 == 0 && access(flag, F_OK) == 0) break;
  }
  qsort(times, (size_t)count, sizeof times[0], by_size);
  printf("median_rtt_us %.1f\n", times[count / 2] / 1e3);
}

static void bulk(int fd, const char* flag) {
  enum { kSlice = 5000000, kMost = 1 << 20 };
  static struct slice {
    long long begin, bytes;
  } slices[kMost];  // a pipe to whoever reads it only in the end is small
  int count = 0;
  if (send(fd, "B", 1, 0) != 1) fail("send");
  long long slice = now_ns() / kSlice, bytes = 0;
  while (access(flag, F_OK) != 0) {
    ssize_t got = recv(fd, block, sizeof block, 0);
    if (got <= 0) fail("recv");
    long long now = now_ns() / kSlice;
    if (now != slice) {
      if (count < kMost) slices[count++] = (struct slice){slice * kSlice, bytes};
      bytes = 0;
      slice = now;
    }
    bytes += got;
  }
  for (int i = 0; i < count; i++) printf("%lld %lld\n", slices[i].begin, slices[i].bytes);
}

int main(int count, char** arguments) {
  if (count == 3 && strcmp(arguments[1], "serve") == 0) serve(arguments[2]);
  if (count == 6 && strcmp(arguments[1], "ask") == 0)
    ask(connected(arguments[2], arguments[3]), atol(arguments[4]), arguments[5]);
  if (count == 5 && strcmp(arguments[1], "bulk") == 0) bulk(connected(arguments[2], arguments[3]), arguments[4]);
  return 0;
}
