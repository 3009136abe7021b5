// Handlers, masks, an alternate stack, signals that are pending with a value, ignored ones.
#include <signal.h>

#include "check.h"

static volatile sig_atomic_t hits, value_seen, on_other_stack;
static char other_stack[65536];

static void on_user(int signal, siginfo_t* info, void* context) {
  (void)signal;
  (void)context;
  char here;
  hits++;
  value_seen = info->si_value.sival_int;
  on_other_stack = &here >= other_stack && &here < other_stack + sizeof other_stack;
}

int main(int count, char** arguments) {
  begin(count, arguments);
  stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
  CHECK(sigaltstack(&stack, NULL) == 0);
  struct sigaction action = {.sa_sigaction = on_user, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
  sigaddset(&action.sa_mask, SIGUSR2);
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  CHECK(sigaction(SIGRTMIN + 3, &action, NULL) == 0);
  CHECK(signal(SIGTRAP, SIG_IGN) != SIG_ERR);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGRTMIN + 3);
  CHECK(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
  union sigval value = {.sival_int = 4711};
  CHECK(sigqueue(getpid(), SIGRTMIN + 3, value) == 0);
  ready();
  int sent = 0;
  while (!told_to_stop()) {
    value.sival_int = ++sent;
    CHECK(sigqueue(getpid(), SIGUSR1, value) == 0);
    CHECK(hits == sent && value_seen == sent && on_other_stack);
    struct sigaction now;
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_sigaction == on_user && sigismember(&now.sa_mask, SIGUSR2));
    CHECK(sigaction(SIGTRAP, NULL, &now) == 0 && now.sa_handler == SIG_IGN);
    sigset_t pending, mask;
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGRTMIN + 3));
    CHECK(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, SIGRTMIN + 3) && !sigismember(&mask, SIGUSR1));
    pause_ms(5);
  }
  CHECK(sigprocmask(SIG_UNBLOCK, &blocked, NULL) == 0);
  CHECK(value_seen == 4711 && hits == sent + 1);
  return pass();
}
