// Children that end at once and are waited for a little later, always some of them, beside many threads that do
// nothing: each child's status is there whenever it is asked for.
#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "check.h"

enum { THREADS = 64 };

static void* idle(void* argument) {
  for (;;) pause();
  return argument;
}

static void rest(long ns) {
  struct timespec moment = {0, ns};
  nanosleep(&moment, NULL);
}

static pid_t born(int number) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) _exit(number % 100);
  return child;
}

int main(int count, char** arguments) {
  begin(count, arguments);
  for (int i = 0; i < THREADS; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, idle, NULL) == 0);
  }
  ready();
  int number = 0;
  for (; !told_to_stop(); number++) {
    rest(number % 7 * 40000);
    pid_t child = born(number);
    rest(300000);
    await_exit(child, number % 100);
  }
  CHECK(number > 100);
  return pass();
}
