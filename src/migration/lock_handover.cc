#include "migration/lock_handover.h"

#include <sys/ptrace.h>

#include <chrono>

#include "freeze/remote_calls.h"
#include "migration/exchange.h"
#include "sys/text_file.h"

namespace godwit::migration {

namespace {

using transport::Connection;
using transport::FrameType;

constexpr std::chrono::microseconds kSpin(150);
constexpr std::chrono::seconds kPatience(30);

Result<void> tell_step(Connection& connection) { return send_signal(connection, FrameType::lock_step); }

// In a stopped process that will not run again.
Result<void> in_stopped(freeze::SeizedTree& tree, pid_t host_pid,
                        const std::function<Result<void>(freeze::RemoteCalls&)>& work) {
  for (freeze::SeizedProcess& process : tree.processes()) {
    if (process.listed.host_pid != host_pid || process.threads.empty()) continue;
    pid_t thread = process.threads.front().host_tid;
    freeze::RemoteCalls calls = TRY(freeze::RemoteCalls::open(thread, TRY(freeze::find_vdso(host_pid))));
    TRY(work(calls));
    return calls.close();
  }
  return error(ErrorKind::gone, "process " + std::to_string(host_pid) + " is gone");
}

// The switchover was made: this copy must not run, not even when we die.
Result<void> let_calls_run(freeze::SeizedTree& tree, const std::string& cgroup) {
  for (freeze::SeizedProcess& process : tree.processes()) {
    for (freeze::SeizedThread& thread : process.threads) {
      TRY(sys::ptrace_set_options(thread.host_tid, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
    }
  }
  return sys::write_text(cgroup + "/cgroup.freeze", "0");
}

Result<void> give_up(Connection& connection, objects::LockSet& locks, freeze::SeizedTree& tree,
                     const std::string& cgroup) {
  if (locks.in_processes()) TRY(let_calls_run(tree, cgroup));
  objects::InProcess in_process = [&](pid_t host_pid, const auto& work) { return in_stopped(tree, host_pid, work); };
  TRY(locks.share(in_process));
  TRY(tell_step(connection));
  TRY(receive_signal(connection, FrameType::lock_step, kSpin));
  TRY(locks.release(in_process));
  return tell_step(connection);
}

}  // namespace

Result<wire::Committed> hear_of_commit(Connection& connection, objects::LockSet& locks, freeze::SeizedTree& tree,
                                       const std::string& cgroup) {
  transport::Frame frame = TRY(connection.spin_receive(kSpin));
  if (frame.type == FrameType::lock_step) {
    TRY(give_up(connection, locks, tree, cgroup).within("handing over locks"));
    return receive<wire::Committed>(connection, FrameType::committed, kSpin);
  }
  return expect<wire::Committed>(frame, FrameType::committed);
}

std::string take_locks_over(Connection& connection, Restoration& restoration) {
  if (!restoration.locks_follow()) return {};
  connection.set_patience(kPatience);
  auto until = std::chrono::steady_clock::now() + kPatience;
  auto step = [&]() -> Result<void> {
    TRY(tell_step(connection));
    return receive_signal(connection, FrameType::lock_step, kSpin);
  };
  auto asked = step();
  auto taken = restoration.take_locks(until, [&] {
    if (asked) asked = step();  // otherwise they are free when the source's copy is discarded
  });
  connection.be_patient();
  if (!taken) return "locks could not be taken over: " + taken.error().message();
  return taken->empty() ? std::string() : "a lock on " + *taken + " was not free any more; the program runs without it";
}

}  // namespace godwit::migration
