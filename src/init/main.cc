// godwit-init: pid 1 of a logical host, or (--node) of a node of the lab.
//
//   godwit-init --job LISTENING_FD CGROUP_FD STATE_DIRECTORY
//   godwit-init --node
//
// Static and small: at a migration's destination the processes of the job are cloned from it.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/server.h"
#include "sys/residency.h"

namespace {

int signals_for(int how) {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  sigprocmask(SIG_SETMASK, &wanted, nullptr);
  for (int ignored : {SIGPIPE, SIGINT, SIGHUP, SIGTTOU, SIGTTIN, SIGTSTP}) signal(ignored, SIG_IGN);
  return signalfd(-1, &wanted, SFD_CLOEXEC | how);
}

// Frozen programs wait for our few answers: best nice level for us, the usual one for what we start. Source:
// sched_setattr(2). A machine that refuses it is slower, that is all.
void answer_at_once() {
  struct {  // struct sched_attr, linux/sched/types.h, first version
    uint32_t size = 48, policy = 0;
    uint64_t flags = 1;  // SCHED_FLAG_RESET_ON_FORK
    int32_t nice = -20;
    uint32_t priority = 0;
    uint64_t runtime = 0, deadline = 0, period = 0;
  } attributes;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

// Waits for whatever ends; on SIGTERM everything ends.
int run_node() {
  int signals = signals_for(0);
  signalfd_siginfo info;
  for (;;) {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (read(signals, &info, sizeof info) != static_cast<ssize_t>(sizeof info) && errno != EINTR) return 1;
    if (info.ssi_signo != SIGTERM) continue;
    kill(-1, SIGKILL);
    while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
    }
    return 0;
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 2 && strcmp(arguments[1], "--node") == 0) return run_node();
  if (count != 5 || strcmp(arguments[1], "--job") != 0) {
    fputs("godwit-init is started by godwitd and godwit-worker, not by hand\n", stderr);
    return 2;
  }
  int listening = atoi(arguments[2]);
  int cgroup = atoi(arguments[3]);
  fcntl(listening, F_SETFD, FD_CLOEXEC);
  fcntl(cgroup, F_SETFD, FD_CLOEXEC);
  answer_at_once();
  constexpr size_t kSpareHeap = 64 << 10;
  constexpr size_t kStack = 160 << 10;  // two of its largest buffers
  godwit::sys::keep_heap();
  godwit::sys::touch_heap(kSpareHeap);
  godwit::sys::touch_stack(kStack);
  godwit::sys::populate_code();
  godwit::init::Server server(listening, cgroup, signals_for(SFD_NONBLOCK), arguments[4]);
  server.run();
  return 0;
}
