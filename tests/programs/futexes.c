// Threads (the second argument says how many; 8) that contend for mutexes and wait on condition variables.
#include <pthread.h>

#include "check.h"

enum { MOST = 400, LOCKS = 7 };
static pthread_mutex_t locks[LOCKS];
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned long totals[LOCKS], own[MOST];
static volatile int stopping;

static void* work(void* argument) {
  long k = (long)argument;
  for (unsigned long i = 0; !stopping; i++) {
    unsigned which = (unsigned)(i * 31 + (unsigned long)k) % LOCKS;
    CHECK(pthread_mutex_lock(&locks[which]) == 0);
    totals[which]++;
    own[k]++;
    if (which == 0 && i % 5 == 0) {
      struct timespec end;
      clock_gettime(CLOCK_REALTIME, &end);
      end.tv_nsec += 20000000;
      if (end.tv_nsec >= 1000000000) end.tv_sec++, end.tv_nsec -= 1000000000;
      int result = pthread_cond_timedwait(&changed, &locks[0], &end);
      CHECK(result == 0 || result == ETIMEDOUT);
    } else if (which == 0) {
      pthread_cond_signal(&changed);
    }
    CHECK(pthread_mutex_unlock(&locks[which]) == 0);
    if (i % 3 == 0) pause_ms(2);
  }
  return NULL;
}

int main(int count, char** arguments) {
  begin(count, arguments);
  int threads = count > 2 ? atoi(arguments[2]) : 8;
  CHECK(threads > 0 && threads <= MOST);
  static pthread_t ids[MOST];
  for (int i = 0; i < LOCKS; i++) pthread_mutex_init(&locks[i], NULL);
  for (long k = 0; k < threads; k++) CHECK(pthread_create(&ids[k], NULL, work, (void*)k) == 0);
  ready();
  while (!told_to_stop()) pause_ms(10);
  stopping = 1;
  unsigned long sum = 0, expected = 0;
  for (int k = 0; k < threads; k++) CHECK(pthread_join(ids[k], NULL) == 0);
  for (int i = 0; i < LOCKS; i++) sum += totals[i];
  for (int k = 0; k < threads; k++) {
    CHECK(own[k] > 0);
    expected += own[k];
  }
  CHECK(sum == expected);
  return pass();
}
