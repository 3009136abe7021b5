// Urgent data of TCP connections (MSG_OOB): a byte that was received and not read, beside the stream and in it
// (SO_OOBINLINE), at the beginning of what is unread and behind it; one that was read while its mark is still ahead;
// one that was sent to a reader who has no room. Marks, bytes and streams are the same wherever the program is, and no
// signal tells of one a second time.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "check.h"

struct pair {
  int writer, reader;
};
static volatile int told;  // how often SIGURG came
static void on_urgent(int signal) {
  (void)signal;
  told++;
}

static struct pair connect_pair(int in_line) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
  struct pair pair = {.writer = socket(AF_INET, SOCK_STREAM, 0)};
  CHECK(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
  CHECK(bind(listener, (struct sockaddr*)&address, sizeof address) == 0 && listen(listener, 1) == 0);
  CHECK(getsockname(listener, (struct sockaddr*)&address, &length) == 0);
  CHECK(connect(pair.writer, (struct sockaddr*)&address, sizeof address) == 0);
  pair.reader = accept(listener, NULL, NULL);
  CHECK(pair.reader >= 0 && close(listener) == 0);
  CHECK(setsockopt(pair.reader, SOL_SOCKET, SO_OOBINLINE, &in_line, sizeof in_line) == 0);
  CHECK(fcntl(pair.reader, F_SETOWN, getpid()) == 0);
  return pair;
}
static void say(struct pair* pair, const char* text, int flags) {
  CHECK(send(pair->writer, text, strlen(text), flags) == (ssize_t)strlen(text));
}
static int at_mark(struct pair* pair) {
  int at = -1;
  CHECK(ioctl(pair->reader, SIOCATMARK, &at) == 0);
  return at;
}
// Reads, without waiting, exactly this in one go.
static void hear(struct pair* pair, const char* text) {
  char got[64] = {0};
  ssize_t size = recv(pair->reader, got, sizeof got - 1, MSG_DONTWAIT);
  CHECK(size == (ssize_t)strlen(text) && strcmp(got, text) == 0);
}
static void await_urgent(struct pair* pair) {
  char byte;
  for (int times = 0; times < 1000 && recv(pair->reader, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) != 1; times++)
    pause_ms(1);
}
static void await_unread(struct pair* pair, int bytes) {
  int unread = 0;
  for (int times = 0; times < 1000 && unread < bytes; times++) {
    CHECK(ioctl(pair->reader, FIONREAD, &unread) == 0);
    pause_ms(1);
  }
}
static void hear_urgent(struct pair* pair, char expected) {
  char byte = 0;
  CHECK(recv(pair->reader, &byte, 1, MSG_OOB | MSG_DONTWAIT) == 1 && byte == expected);
}

// Fills the reader's queue, and sends an urgent byte behind all that waits for room. Returns how much that is.
static size_t overfill(struct pair* pair) {
  char part[1000];
  size_t sent = 0;
  for (unsigned i = 0; i < 60; i++) {
    memset(part, 'a' + (int)(i % 26), sizeof part);
    ssize_t now = send(pair->writer, part, sizeof part, MSG_DONTWAIT);
    if (now < 0) break;
    sent += (size_t)now;
  }
  CHECK(send(pair->writer, "!", 1, MSG_OOB | MSG_DONTWAIT) == 1);
  return sent;
}
static void read_overfilled(struct pair* pair, size_t expected) {
  char part[512];
  size_t had = 0;
  while (had < expected) {
    ssize_t now = recv(pair->reader, part, sizeof part, 0);
    CHECK(now > 0);
    for (ssize_t i = 0; i < now; i++) CHECK(part[i] == 'a' + (int)((had + (size_t)i) / 1000 % 26));
    had += (size_t)now;
  }
  CHECK(had == expected);
  await_urgent(pair);
  CHECK(at_mark(pair) == 1);
  hear_urgent(pair, '!');
}

int main(int count, char** arguments) {
  begin(count, arguments);
  struct pair beside = connect_pair(0), in_line = connect_pair(1), at_once = connect_pair(0),
              was_read = connect_pair(0), full = connect_pair(0), in_line_first = connect_pair(1);
  signal(SIGURG, on_urgent);
  CHECK(fcntl(full.reader, F_SETOWN, 0) == 0);  // of what is still to come it may be told again
  say(&beside, "before", 0), say(&beside, "X", MSG_OOB), say(&beside, "behind", 0);
  say(&in_line, "before", 0), say(&in_line, "Y", MSG_OOB), say(&in_line, "behind", 0);
  say(&at_once, "Z", MSG_OOB), say(&at_once, "behind", 0);
  say(&was_read, "before", 0), say(&was_read, "R", MSG_OOB), say(&was_read, "behind", 0);
  say(&in_line_first, "F", MSG_OOB), say(&in_line_first, "behind", 0);
  await_urgent(&beside), await_urgent(&at_once), await_urgent(&was_read);
  await_unread(&in_line, 13), await_unread(&in_line_first, 7);
  hear_urgent(&was_read, 'R');
  size_t waiting = overfill(&full);
  pause_ms(100);
  int before = told;
  ready();
  char byte;
  while (!told_to_stop()) {
    CHECK(recv(beside.reader, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) == 1 && byte == 'X');
    CHECK(recv(at_once.reader, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) == 1 && byte == 'Z');
    CHECK(recv(was_read.reader, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) == -1 && errno == EINVAL);
    CHECK(!at_mark(&beside) && !at_mark(&in_line) && at_mark(&at_once) && !at_mark(&was_read) &&
          at_mark(&in_line_first));
    pause_ms(5);
  }
  CHECK(told == before);
  hear(&beside, "before");
  CHECK(at_mark(&beside));
  hear_urgent(&beside, 'X');
  hear(&beside, "behind");
  hear(&in_line, "before");
  CHECK(at_mark(&in_line));
  hear(&in_line, "Ybehind");
  hear_urgent(&at_once, 'Z');
  hear(&at_once, "behind");
  hear(&was_read, "before");
  CHECK(at_mark(&was_read) && recv(was_read.reader, &byte, 1, MSG_OOB | MSG_DONTWAIT) == -1 && errno == EINVAL);
  hear(&was_read, "behind");
  hear(&in_line_first, "Fbehind");
  read_overfilled(&full, waiting);
  struct pair* again[] = {&beside, &in_line, &at_once, &was_read, &full};
  for (size_t i = 0; i < 5; i++) {
    say(again[i], "12", 0);
    await_unread(again[i], 2);
    hear(again[i], "12");
    CHECK(!at_mark(again[i]));
  }
  say(&beside, "Q", MSG_OOB);
  await_urgent(&beside);
  hear_urgent(&beside, 'Q');
  return pass();
}
