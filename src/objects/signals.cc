#include "objects/signals.h"

#include <sys/syscall.h>

#include <cstring>

namespace godwit::objects {

namespace {

constexpr int kSignals = 64;
constexpr uint64_t kSetBytes = 8;      // of the kernel's sigset_t
constexpr size_t kBytesPerCall = 128;  // a call record and the rounding of its data, generously

constexpr uint64_t bit(int signal) { return uint64_t{1} << (signal - 1); }
constexpr uint64_t kFixed = bit(SIGKILL) | bit(SIGSTOP);

struct KernelAction {  // struct sigaction of the kernel, x86-64
  uint64_t handler;
  uint64_t flags;
  uint64_t restorer;
  uint64_t mask;
};

Result<siginfo_t> decoded(const image::SignalInfo& image) {
  siginfo_t info;
  if (image.siginfo().size() != sizeof info) return error(ErrorKind::corrupt, "size of a pending signal");
  std::memcpy(&info, image.siginfo().data(), sizeof info);
  if (info.si_signo < 1 || info.si_signo > kSignals) return error(ErrorKind::corrupt, "number of a pending signal");
  return info;
}

image::SignalInfo encoded(const siginfo_t& info) {
  image::SignalInfo image;
  image.set_siginfo(&info, sizeof info);
  return image;
}

// The kernel's own bookkeeping inside a timer's signal must not come back to it (uapi/asm-generic/siginfo.h).
void forget_timer_link(siginfo_t& info) {
  constexpr size_t kSysPrivate = 32;  // offset of _sifields._timer._sys_private
  int zero = 0;
  if (info.si_code == SI_TIMER) std::memcpy(reinterpret_cast<char*>(&info) + kSysPrivate, &zero, sizeof zero);
}

template <class AddCall>
Result<void> add_each(freeze::CallBatch& batch, std::span<const image::SignalInfo* const> pending, AddCall add_call) {
  for (const image::SignalInfo* image : pending) {
    siginfo_t info = TRY(decoded(*image));
    if (bit(info.si_signo) & kFixed) continue;
    if (batch.room() < sizeof info + kBytesPerCall) return error(ErrorKind::exhausted, "too many pending signals");
    add_call(info, value(batch.put_value(info)));
  }
  return {};
}

}  // namespace

void SignalActionQuestions::add(freeze::CallBatch& batch, uint64_t not_default) {
  for (int signal = 1; signal <= kSignals; ++signal) {
    if (!(not_default & ~kFixed & bit(signal))) continue;
    freeze::RemoteAddress action = batch.reserve(sizeof(KernelAction));
    size_t call = batch.add(SYS_rt_sigaction, {static_cast<uint64_t>(signal), 0, value(action), kSetBytes});
    questions_.push_back({signal, call, action});
  }
}

Result<void> SignalActionQuestions::answers(const freeze::CallBatch& batch, image::SignalActions& actions) const {
  for (const Question& question : questions_) {
    if (batch.result(question.call) != 0) return error(ErrorKind::failed, "rt_sigaction in the program");
    auto action = batch.read<KernelAction>(question.action);
    image::SignalAction* image = actions.add_actions();
    image->set_signal(question.signal);
    image->set_handler(action.handler);
    image->set_flags(action.flags);
    image->set_restorer(action.restorer);
    image->set_mask(action.mask);
  }
  return {};
}

void take_signal_actions(std::span<const godwit_signal_action> kept, image::SignalActions& actions) {
  for (size_t i = 0; i < kept.size(); ++i) {
    bool is_default = kept[i].handler == 0 && (kept[i].flags & (SA_NOCLDWAIT | SA_NOCLDSTOP)) == 0;
    if (is_default || (kFixed & bit(static_cast<int>(i) + 1)) != 0) continue;
    image::SignalAction* image = actions.add_actions();
    image->set_signal(static_cast<int>(i) + 1);
    image->set_handler(kept[i].handler);
    image->set_flags(kept[i].flags);
    image->set_restorer(kept[i].restorer);
    image->set_mask(kept[i].mask);
  }
}

Result<void> add_signal_actions(freeze::CallBatch& batch, const image::SignalActions& actions) {
  uint64_t seen = kFixed;
  for (const image::SignalAction& image : actions.actions()) {
    if (image.signal() < 1 || image.signal() > kSignals || (seen & bit(image.signal()))) {
      return error(ErrorKind::corrupt, "number of a signal action");
    }
    seen |= bit(image.signal());
    if (batch.room() < sizeof(KernelAction) + kBytesPerCall) return error(ErrorKind::exhausted, "signal actions");
    KernelAction action{image.handler(), image.flags(), image.restorer(), image.mask()};
    uint64_t at = value(batch.put_value(action));
    batch.add(SYS_rt_sigaction, {static_cast<uint64_t>(image.signal()), at, 0, kSetBytes});
  }
  return {};
}

std::vector<image::SignalInfo> pending_images(std::span<const siginfo_t> queued, uint64_t pending_set) {
  std::vector<image::SignalInfo> images;
  for (siginfo_t info : queued) {
    if (info.si_signo >= 1 && info.si_signo <= kSignals) pending_set &= ~bit(info.si_signo);
    forget_timer_link(info);
    images.push_back(encoded(info));
  }
  for (int signal = 1; signal <= kSignals; ++signal) {
    if (!(pending_set & bit(signal))) continue;
    siginfo_t info;
    std::memset(&info, 0, sizeof info);
    info.si_signo = signal;  // SI_USER, from nobody: kernel/signal.c, collect_signal
    images.push_back(encoded(info));
  }
  return images;
}

Result<void> add_process_pending(freeze::CallBatch& batch, pid_t pid,
                                 std::span<const image::SignalInfo* const> pending) {
  return add_each(batch, pending, [&](const siginfo_t& info, uint64_t at) {
    batch.add(SYS_rt_sigqueueinfo, {static_cast<uint64_t>(pid), static_cast<uint64_t>(info.si_signo), at});
  });
}

Result<void> add_thread_pending(freeze::CallBatch& batch, pid_t pid, pid_t tid,
                                std::span<const image::SignalInfo* const> pending) {
  return add_each(batch, pending, [&](const siginfo_t& info, uint64_t at) {
    batch.add(SYS_rt_tgsigqueueinfo,
              {static_cast<uint64_t>(pid), static_cast<uint64_t>(tid), static_cast<uint64_t>(info.si_signo), at});
  });
}

}  // namespace godwit::objects
