// Four threads that compute without a pause: thread-local storage, floating point and vector registers, thread ids.
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "check.h"

static __thread uint64_t local = 1;
static volatile int stopping;
static volatile uint64_t rounds[4];

static void* compute(void* argument) {
  long k = (long)argument;
  long tid = syscall(SYS_gettid);
  local = (uint64_t)k + 1;
  double sum = 0;
  typedef int vector __attribute__((vector_size(16)));
  vector v = {1, 2, 3, (int)k};
  while (!stopping) {
    uint64_t expected = local * 6364136223846793005u + 1442695040888963407u;
    local = expected;
    double step = (double)(rounds[k] % 1000) / 7.0;
    sum += step;
    sum -= step;
    v = v + v - v;
    rounds[k]++;
    CHECK(local == expected);
    CHECK(sum > -1e-3 && sum < 1e-3);
    CHECK(v[0] == 1 && v[1] == 2 && v[2] == 3 && v[3] == k);
    if (rounds[k] % 100000 == 0) CHECK(syscall(SYS_gettid) == tid);
  }
  return (void*)(uintptr_t)(local != 0);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  pid_t pid = getpid();
  pthread_t threads[4];
  for (long k = 0; k < 4; k++) CHECK(pthread_create(&threads[k], NULL, compute, (void*)k) == 0);
  ready();
  while (!told_to_stop()) {
    CHECK(getpid() == pid);
    pause_ms(10);
  }
  stopping = 1;
  for (int k = 0; k < 4; k++) {
    void* result;
    CHECK(pthread_join(threads[k], &result) == 0 && result != NULL && rounds[k] > 1000);
  }
  return pass();
}
