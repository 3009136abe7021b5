// Record locks by fcntl(2), F_SETLK and F_OFD_SETLK: ranges, exclusive and shared, through several descriptors, through
// one that is open for writing only; of a process, which its children do not have, and of a description, which they
// have; on files of this node alone and of the directory it was started in; what others are told about them; one that
// is waited for.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "check.h"

enum { kPlaces = 2 };

static struct Told {
  volatile int got, stop;
}* told;  // by the waiter

static int change(int fd, int command, int type, off_t start, off_t length) {
  struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  return fcntl(fd, command, &lock);
}

// Who has a lock that is in the way of this one: a pid, -1: a description, 0: nobody.
static pid_t in_the_way(int fd, int command, int type, off_t start, off_t length) {
  struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  CHECK(fcntl(fd, command, &lock) == 0);
  return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

struct Place {
  char path[200];
  int reading, writing, both, described;
};

// Bytes 0-9 exclusive through the one that only writes, 10-19 shared, 20-29 exclusive by the description, 1000 on all
// exclusive but for 2000-2009, which are shared.
static void lock_all(struct Place* place, const char* directory, int number) {
  snprintf(place->path, sizeof place->path, "%s/record-%d-%ld-%d", directory, getpid(), (long)time(NULL), number);
  place->both = open(place->path, O_RDWR | O_CREAT, 0600);
  place->writing = open(place->path, O_WRONLY);
  place->reading = open(place->path, O_RDONLY);
  place->described = open(place->path, O_RDWR);
  CHECK(place->both >= 0 && place->writing >= 0 && place->reading >= 0 && place->described >= 0);
  CHECK(change(place->writing, F_SETLK, F_WRLCK, 0, 10) == 0);
  CHECK(change(place->reading, F_SETLK, F_RDLCK, 10, 10) == 0);
  CHECK(change(place->described, F_OFD_SETLK, F_WRLCK, 20, 10) == 0);
  CHECK(change(place->both, F_SETLK, F_WRLCK, 1000, 0) == 0);
  CHECK(change(place->both, F_SETLK, F_RDLCK, 2000, 10) == 0);
}

// As another process sees it.
static void look(const struct Place* place, pid_t owner) {
  int fd = open(place->path, O_RDWR);
  CHECK(fd >= 0);
  CHECK(in_the_way(fd, F_GETLK, F_RDLCK, 0, 10) == owner && in_the_way(fd, F_GETLK, F_RDLCK, 9, 1) == owner);
  CHECK(in_the_way(fd, F_GETLK, F_RDLCK, 10, 10) == 0 && in_the_way(fd, F_GETLK, F_WRLCK, 19, 1) == owner);
  CHECK(in_the_way(fd, F_GETLK, F_RDLCK, 20, 10) == -1 && in_the_way(fd, F_OFD_GETLK, F_RDLCK, 29, 1) == -1);
  CHECK(in_the_way(fd, F_GETLK, F_WRLCK, 30, 970) == 0);
  CHECK(in_the_way(fd, F_GETLK, F_RDLCK, 1000, 1) == owner && in_the_way(fd, F_GETLK, F_RDLCK, 1 << 30, 0) == owner);
  CHECK(in_the_way(fd, F_GETLK, F_RDLCK, 2000, 10) == 0 && in_the_way(fd, F_GETLK, F_WRLCK, 2009, 1) == owner);
  CHECK(change(fd, F_SETLK, F_WRLCK, 5, 1) == -1 && (errno == EAGAIN || errno == EACCES));
  CHECK(change(fd, F_OFD_SETLK, F_RDLCK, 25, 1) == -1 && errno == EAGAIN);
  CHECK(close(fd) == 0);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct Place places[kPlaces];
  lock_all(&places[0], "/tmp", 0);
  lock_all(&places[1], ".", 1);
  pid_t owner = getpid(), watcher = fork();
  if (watcher == 0) {
    for (; !told->stop; pause_ms(1)) look(&places[0], owner), look(&places[1], owner);
    // What belongs to the description is the child's too.
    for (int i = 0; i < kPlaces; ++i) CHECK(change(places[i].described, F_OFD_SETLK, F_UNLCK, 20, 5) == 0);
    _exit(0);
  }
  pid_t waiter = fork();
  if (waiter == 0) {
    int fd = open(places[1].path, O_RDWR);
    CHECK(change(fd, F_SETLKW, F_WRLCK, 3, 2) == 0);
    told->got = 1;
    _exit(0);
  }
  ready();
  while (!told_to_stop()) {
    pause_ms(5);
    CHECK(!told->got && waitpid(-1, NULL, WNOHANG) == 0);
    CHECK(in_the_way(places[0].both, F_GETLK, F_WRLCK, 0, 10) == 0);  // one's own never is
  }
  told->stop = 1;
  int status;
  CHECK(waitpid(watcher, &status, 0) == watcher && status == 0);
  for (int i = 0; i < kPlaces; ++i) {
    CHECK(in_the_way(places[i].both, F_GETLK, F_WRLCK, 20, 5) == 0);
    CHECK(in_the_way(places[i].both, F_GETLK, F_WRLCK, 25, 5) == -1);
  }
  CHECK(change(places[1].both, F_SETLK, F_UNLCK, 0, 10) == 0);
  CHECK(waitpid(waiter, &status, 0) == waiter && status == 0 && told->got);
  CHECK(close(places[1].reading) == 0);  // which releases all that the process has on the file
  CHECK(in_the_way(places[1].described, F_OFD_GETLK, F_WRLCK, 30, 0) == 0);
  for (int i = 0; i < kPlaces; ++i) CHECK(unlink(places[i].path) == 0);
  return pass();
}
