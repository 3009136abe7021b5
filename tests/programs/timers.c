// Interval and POSIX timers, and clocks: they go on by the time that passed and never jump back.
#include <signal.h>
#include <sys/time.h>

#include "check.h"

static volatile sig_atomic_t alarms, ticks;
static void on_alarm(int signal) {
  (void)signal;
  alarms++;
}
static void on_tick(int signal) {
  (void)signal;
  ticks++;
}

int main(int count, char** arguments) {
  begin(count, arguments);
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  action.sa_handler = on_tick;
  CHECK(sigaction(SIGRTMIN, &action, NULL) == 0);
  struct itimerval often = {{0, 50000}, {0, 50000}};
  CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
  timer_t first, second;
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &first) == 0 && timer_create(CLOCK_MONOTONIC, &event, &second) == 0);
  CHECK(timer_delete(first) == 0);
  struct itimerspec fifth = {{0, 200000000}, {0, 200000000}};
  CHECK(timer_settime(second, 0, &fifth, NULL) == 0);
  double real = now_on(CLOCK_REALTIME), mono = now_on(CLOCK_MONOTONIC), boot = now_on(CLOCK_BOOTTIME), last = mono;
  ready();
  while (!told_to_stop()) {
    double m = now_on(CLOCK_MONOTONIC), r = now_on(CLOCK_REALTIME), b = now_on(CLOCK_BOOTTIME);
    CHECK(m >= last);
    last = m;
    CHECK(m - mono - (r - real) < 0.02 && r - real - (m - mono) < 0.02);
    CHECK(b - boot - (r - real) < 0.02 && r - real - (b - boot) < 0.02);
    pause_ms(3);
  }
  double passed = now_on(CLOCK_MONOTONIC) - mono;
  CHECK(alarms > passed / 0.05 * 0.5 && alarms <= passed / 0.05 + 2);
  CHECK(ticks > passed / 0.2 * 0.5 && ticks <= passed / 0.2 + 2);
  CHECK(timer_delete(second) == 0);
  return pass();
}
