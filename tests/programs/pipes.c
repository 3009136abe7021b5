// Pipes and a FIFO with content, full and empty ones, non-blocking ends, packet pipes, between threads of control and
// in one process.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "check.h"

static int open_again(int fd, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int again = open(path, flags);
  CHECK(again >= 0);
  return again;
}

int main(int count, char** arguments) {
  begin(count, arguments);
  int held[2], talk[2], back[2];
  CHECK(pipe(held) == 0 && pipe(talk) == 0 && pipe2(back, O_NONBLOCK) == 0);
  CHECK(fcntl(held[1], F_SETPIPE_SZ, 16384) >= 16384);
  char content[10000];
  for (unsigned i = 0; i < sizeof content; i++) content[i] = (char)(i * 7);
  CHECK(write(held[1], content, sizeof content) == sizeof content);
  char name[300];
  snprintf(name, sizeof name, "%s.fifo", flag_path);
  unlink(name);
  CHECK(mkfifo(name, 0600) == 0);
  int fifo = open(name, O_RDWR);
  CHECK(fifo >= 0 && write(fifo, "waiting", 7) == 7);
  int packets[2], others[2];
  CHECK(pipe2(packets, O_DIRECT) == 0 && pipe2(others, O_DIRECT) == 0);
  CHECK(write(packets[1], "one", 3) == 3 && write(packets[1], "fifteen letters", 15) == 15);
  int reading = open_again(packets[0], O_RDONLY | O_NONBLOCK);
  pid_t child = fork();
  if (child == 0) {
    close(talk[1]);
    unsigned word;
    while (read(talk[0], &word, sizeof word) == sizeof word) {
      word = word * 3 + 1;
      CHECK(write(back[1], &word, sizeof word) == sizeof word);
    }
    _exit(5);
  }
  close(talk[0]);
  ready();
  for (unsigned i = 0; !told_to_stop(); i++) {
    CHECK(write(talk[1], &i, sizeof i) == sizeof i);
    unsigned word;
    ssize_t got;
    while ((got = read(back[0], &word, sizeof word)) < 0 && errno == EAGAIN) pause_ms(1);
    CHECK(got == sizeof word && word == i * 3 + 1);
    pause_ms(2);
  }
  char again[sizeof content];
  CHECK(read(held[0], again, sizeof again) == sizeof again && memcmp(again, content, sizeof again) == 0);
  CHECK(fcntl(held[0], F_GETPIPE_SZ) == 16384);
  CHECK(read(fifo, again, sizeof again) == 7 && memcmp(again, "waiting", 7) == 0);
  CHECK(read(packets[0], again, sizeof again) == 3 && memcmp(again, "one", 3) == 0);
  CHECK(read(reading, again, sizeof again) == 15 && memcmp(again, "fifteen letters", 15) == 0);
  CHECK(read(reading, again, sizeof again) == -1 && errno == EAGAIN);
  int shown = O_ACCMODE | O_NONBLOCK | O_DIRECT;
  CHECK((fcntl(packets[1], F_GETFL) & shown) == (O_WRONLY | O_DIRECT));
  CHECK((fcntl(reading, F_GETFL) & shown) == (O_RDONLY | O_NONBLOCK));
  for (int i = 0; i < 2; i++) CHECK(write(others[1], "1234", 4) == 4);
  for (int i = 0; i < 2; i++) CHECK(read(others[0], again, sizeof again) == 4);
  close(talk[1]);
  int status;
  CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 5);
  CHECK(read(back[0], again, 1) == -1 && errno == EAGAIN);
  close(back[1]);
  CHECK(read(back[0], again, 1) == 0);
  unlink(name);
  return pass();
}
