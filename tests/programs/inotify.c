// inotify: watches of directories and files, here and on this node alone, under numbers with gaps, one that tells once;
// an instance that is waited for in a blocking read; an epoll set with one in it.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "check.h"

static char base[200];

static int watch(int fd, const char* path, unsigned mask) {
  int number = inotify_add_watch(fd, path, mask);
  CHECK(number > 0);
  return number;
}

// The next event is this one.
static void expect(int fd, int number, unsigned mask, const char* name) {
  char space[sizeof(struct inotify_event) + 256] __attribute__((aligned(8)));
  struct pollfd one = {fd, POLLIN, 0};
  CHECK(poll(&one, 1, 5000) == 1);
  struct inotify_event* event = (struct inotify_event*)space;
  ssize_t size = read(fd, space, sizeof(struct inotify_event) + (name ? strlen(name) / 16 * 16 + 16 : 0));
  CHECK(size >= (ssize_t)sizeof *event);
  CHECK(event->wd == number && (event->mask & ~IN_ISDIR) == mask);
  CHECK(name ? event->len > 0 && strcmp(event->name, name) == 0 : event->len == 0);
}

static void expect_nothing(int fd) {
  struct pollfd one = {fd, POLLIN, 0};
  CHECK(poll(&one, 1, 0) == 0);
}

static const char* below(const char* name) {
  static char path[300];
  snprintf(path, sizeof path, "%s/%s", base, name);
  return path;
}

int main(int count, char** arguments) {
  begin(count, arguments);
  snprintf(base, sizeof base, "inotify-%d-%ld", getpid(), (long)time(NULL));
  CHECK(mkdir(base, 0700) == 0 && mkdir(below("inner"), 0700) == 0);
  char own[210];
  snprintf(own, sizeof own, "/tmp/%s", base);
  int file = open(own, O_RDWR | O_CREAT | O_APPEND, 0600), fd = inotify_init1(IN_NONBLOCK), set = epoll_create1(0);
  CHECK(file >= 0 && fd >= 0);
  for (int i = 0; i < 100; ++i) CHECK(inotify_rm_watch(fd, watch(fd, "/", IN_CREATE)) == 0);
  char events[8192];
  while (read(fd, events, sizeof events) > 0) {
  }
  int of_base = watch(fd, base, IN_CREATE | IN_DELETE | IN_MOVE), gone = watch(fd, "/usr", IN_CREATE);
  int of_file = watch(fd, own, IN_MODIFY), of_inner = watch(fd, below("inner"), IN_CREATE | IN_ONESHOT);
  CHECK(of_base == 101 && of_file == 103 && of_inner == 104 && inotify_rm_watch(fd, gone) == 0);
  expect(fd, gone, IN_IGNORED, NULL);
  struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = 7}, told;
  CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &wanted) == 0);
  pid_t reader = fork();
  if (reader == 0) {
    int patient = inotify_init1(0), number = watch(patient, base, IN_MOVED_TO);
    for (;;) {
      char space[400] __attribute__((aligned(8)));
      CHECK(read(patient, space, sizeof space) > 0);
      struct inotify_event* event = (struct inotify_event*)space;
      CHECK(event->wd == number && event->mask == IN_MOVED_TO);
      if (strcmp(event->name, "last") == 0) _exit(0);
    }
  }
  pause_ms(50);
  ready();
  for (int i = 0;; ++i) {
    char name[40];
    snprintf(name, sizeof name, "file-%d", i);
    CHECK(epoll_wait(set, &told, 1, 0) == 0);
    CHECK(close(open(below(name), O_RDWR | O_CREAT, 0600)) == 0);
    CHECK(epoll_wait(set, &told, 1, 5000) == 1 && told.data.u32 == 7);
    expect(fd, of_base, IN_CREATE, name);
    CHECK(write(file, "x", 1) == 1);
    expect(fd, of_file, IN_MODIFY, NULL);
    CHECK(unlink(below(name)) == 0);
    expect(fd, of_base, IN_DELETE, name);
    expect_nothing(fd);
    if (told_to_stop()) break;
    pause_ms(2);
  }
  CHECK(close(open(below("first"), O_RDWR | O_CREAT, 0600)) == 0);
  expect(fd, of_base, IN_CREATE, "first");
  char to[300];
  snprintf(to, sizeof to, "%s", below("last"));
  CHECK(rename(below("first"), to) == 0);
  expect(fd, of_base, IN_MOVED_FROM, "first");
  expect(fd, of_base, IN_MOVED_TO, "last");
  int status;
  CHECK(waitpid(reader, &status, 0) == reader && status == 0);
  snprintf(to, sizeof to, "%s/inner/one", base);
  CHECK(close(open(to, O_RDWR | O_CREAT, 0600)) == 0);
  expect(fd, of_inner, IN_CREATE, "one");
  expect(fd, of_inner, IN_IGNORED, NULL);
  CHECK(unlink(to) == 0 && inotify_rm_watch(fd, of_inner) == -1 && errno == EINVAL);
  CHECK(watch(fd, base, IN_DELETE) == of_base && watch(fd, "/usr", IN_CREATE) > of_inner);
  CHECK(unlink(below("last")) == 0 && rmdir(below("inner")) == 0 && rmdir(base) == 0 && unlink(own) == 0);
  return pass();
}
