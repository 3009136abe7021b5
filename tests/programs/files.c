// Open files: offsets shared by dup and fork, O_APPEND, an unlinked file, a directory, a private file that is carried;
// cwd, umask.
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "check.h"

int main(int count, char** arguments) {
  begin(count, arguments);
  char name[300];
  const char* scratch = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
  snprintf(name, sizeof name, "%s/data", scratch);
  int data = open(name, O_RDWR | O_CREAT | O_TRUNC, 0640);
  CHECK(data >= 0);
  for (unsigned i = 0; i < 100000; i++) CHECK(write(data, &i, sizeof i) == sizeof i);
  int twin = dup(data);
  CHECK(lseek(twin, 400, SEEK_SET) == 400 && lseek(data, 0, SEEK_CUR) == 400);
  snprintf(name, sizeof name, "%s/log", scratch);
  int log = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  CHECK(log >= 0);
  snprintf(name, sizeof name, "%s/gone", scratch);
  int gone = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(gone >= 0 && write(gone, "unlinked", 8) == 8 && unlink(name) == 0);
  snprintf(name, sizeof name, "%s/closed", scratch);
  int closed = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(closed >= 0 && write(closed, "closed", 6) == 6 && close(closed) == 0);
  int directory = open("/usr", O_RDONLY | O_DIRECTORY);
  int null = open("/dev/null", O_RDWR), random = open("/dev/urandom", O_RDONLY);
  CHECK(directory >= 0 && null >= 0 && random >= 0 && chdir("/usr/lib") == 0);
  umask(027);
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = 500;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0 && fcntl(twin, F_SETFD, FD_CLOEXEC) == 0);
  ready();
  unsigned expected = 100, lines = 0;
  while (!told_to_stop()) {
    unsigned word;
    CHECK(read(expected % 2 ? data : twin, &word, sizeof word) == sizeof word && word == expected);
    expected++;
    CHECK(lseek(data, 0, SEEK_CUR) == (off_t)(expected * sizeof word));
    CHECK(write(log, "line\n", 5) == 5);
    lines++;
    char buffer[100];
    CHECK(pread(gone, buffer, 8, 0) == 8 && memcmp(buffer, "unlinked", 8) == 0);
    CHECK(write(null, buffer, 8) == 8 && read(random, buffer, 8) == 8);
    CHECK(getcwd(buffer, sizeof buffer) != NULL && strcmp(buffer, "/usr/lib") == 0);
    pause_ms(3);
  }
  struct stat status;
  CHECK(fstat(log, &status) == 0 && status.st_size == (off_t)lines * 5);
  CHECK(fcntl(log, F_GETFL) & O_APPEND);
  CHECK((fcntl(twin, F_GETFD) & FD_CLOEXEC) && !(fcntl(data, F_GETFD) & FD_CLOEXEC));
  CHECK(openat(directory, "lib", O_RDONLY | O_DIRECTORY) >= 0);
  CHECK(umask(022) == 027 && getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == 500);
  char buffer[10];
  closed = open(name, O_RDONLY);
  CHECK(closed >= 0 && read(closed, buffer, 10) == 6 && memcmp(buffer, "closed", 6) == 0);
  CHECK(fstat(gone, &status) == 0 && status.st_nlink == 0);
  return pass();
}
