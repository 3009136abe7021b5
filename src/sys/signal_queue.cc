#include "sys/signal_queue.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include "sys/errno.h"

namespace godwit::sys {

Result<SignalQueue> SignalQueue::take(std::initializer_list<int> signals) {
  sigset_t wanted, former;
  sigemptyset(&wanted);
  for (int signal : signals) sigaddset(&wanted, signal);
  if (int failed = pthread_sigmask(SIG_BLOCK, &wanted, &former); failed != 0) {
    errno = failed;
    return last_error("pthread_sigmask");
  }
  UniqueFd fd(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return last_error("signalfd");
  return SignalQueue(std::move(fd), former);
}

SignalQueue::~SignalQueue() {
  if (fd_.valid()) pthread_sigmask(SIG_SETMASK, &former_, nullptr);
}

std::optional<int> SignalQueue::next() {
  signalfd_siginfo info{};
  if (read(fd_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

}  // namespace godwit::sys
