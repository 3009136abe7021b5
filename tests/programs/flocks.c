// Locks by flock(2): exclusive and shared, on files of this node alone and of the directory it was started in, on a
// directory, inherited, under two numbers, of a description that is queued in a socket; one that is waited for.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "check.h"

enum { kPlaces = 3 };

static char paths[kPlaces][200];
static struct Told {
  volatile int got, stop;
}* told;  // by the waiter

static int open_own(const char* path) {
  int fd = open(path, O_RDWR | O_CREAT, 0600);
  CHECK(fd >= 0);
  return fd;
}

// Whether somebody else could have it now.
static int is_free(const char* path, int operation) {
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0);
  int done = flock(fd, operation | LOCK_NB);
  CHECK(done == 0 || errno == EWOULDBLOCK);
  CHECK(close(fd) == 0);
  return done == 0;
}

static pid_t wait_for_lock(const char* path) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  int fd = open(path, O_RDONLY);
  CHECK(flock(fd, LOCK_EX) == 0);
  told->got = 1;
  while (!told->stop) pause_ms(1);
  _exit(0);
}

static void send_away(int socket, int fd) {
  char byte = 'x', space[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec content = {&byte, 1};
  struct msghdr message = {.msg_iov = &content, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  CHECK(sendmsg(socket, &message, 0) == 1 && close(fd) == 0);
}

static int receive_back(int socket) {
  char byte, space[CMSG_SPACE(sizeof(int))];
  struct iovec content = {&byte, 1};
  struct msghdr message = {.msg_iov = &content, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  CHECK(recvmsg(socket, &message, 0) == 1);
  int fd;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  return fd;
}

int main(int count, char** arguments) {
  begin(count, arguments);
  told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const char* directories[kPlaces] = {"/tmp", ".", "."};
  int fds[kPlaces];
  for (int i = 0; i < kPlaces; ++i) {
    snprintf(paths[i], sizeof paths[i], "%s/flocks-%d-%ld-%d", directories[i], getpid(), (long)time(NULL), i);
    fds[i] = open_own(paths[i]);
    CHECK(flock(fds[i], i == 2 ? LOCK_SH : LOCK_EX) == 0);
  }
  int again = dup(fds[0]);
  char directory[220], queued[220];
  snprintf(directory, sizeof directory, "%s-directory", paths[1]);
  CHECK(mkdir(directory, 0700) == 0);
  int of_directory = open(directory, O_RDONLY | O_DIRECTORY), pair[2];
  CHECK(flock(of_directory, LOCK_EX) == 0);
  snprintf(queued, sizeof queued, "%s-queued", paths[1]);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  int sent = open_own(queued);
  CHECK(flock(sent, LOCK_EX) == 0);
  send_away(pair[0], sent);
  pid_t waiter = wait_for_lock(paths[1]);
  pid_t heir = fork();  // has all of them too
  if (heir == 0)
    for (;;) pause();
  CHECK(close(fds[0]) == 0);
  ready();
  do {
    pause_ms(1);
    CHECK(!is_free(paths[0], LOCK_SH) && !is_free(paths[1], LOCK_SH) && !told->got);
    CHECK(is_free(paths[2], LOCK_SH) && !is_free(paths[2], LOCK_EX));
    CHECK(!is_free(directory, LOCK_SH) && !is_free(queued, LOCK_SH));
  } while (!told_to_stop());
  CHECK(flock(again, LOCK_UN) == 0 && is_free(paths[0], LOCK_EX));  // of the heir, too
  CHECK(close(fds[2]) == 0 && !is_free(paths[2], LOCK_EX));         // the heir has it
  CHECK(flock(of_directory, LOCK_SH) == 0 && is_free(directory, LOCK_SH) && !is_free(directory, LOCK_EX));
  sent = receive_back(pair[1]);
  CHECK(!is_free(queued, LOCK_EX) && close(sent) == 0 && is_free(queued, LOCK_EX));
  CHECK(flock(fds[1], LOCK_UN) == 0);
  for (int i = 0; i < 5000 && !told->got; ++i) pause_ms(1);
  CHECK(told->got && !is_free(paths[1], LOCK_SH));
  told->stop = 1;
  CHECK(kill(heir, SIGKILL) == 0 && waitpid(heir, NULL, 0) == heir && waitpid(waiter, NULL, 0) == waiter);
  for (int i = 0; i < kPlaces; ++i) CHECK(is_free(paths[i], LOCK_EX) && unlink(paths[i]) == 0);
  CHECK(rmdir(directory) == 0 && unlink(queued) == 0);
  return pass();
}
