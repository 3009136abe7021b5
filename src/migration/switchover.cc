#include "migration/switchover.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include "godwit/wire.pb.h"
#include "migration/exchange.h"
#include "sys/residency.h"

namespace godwit::migration {

namespace {

using transport::Connection;
using transport::FrameType;
using CommitResult = worker::WorkerRequest::CommitResult;

constexpr std::chrono::microseconds kSpin(150);

Result<void> ask_for_it(DaemonLink& daemon) {
  worker::WorkerEvent wanted;
  wanted.mutable_commit_wanted();
  CommitResult result = TRY(daemon.ask(wanted));
  if (result.outcome() == CommitResult::COMMITTED) return {};
  return error(ErrorKind::conflict, "the directory refused the switchover: " + result.reason());
}

Result<void> have_it_made(Connection& connection) {
  TRY(send_signal(connection, FrameType::ready));
  return receive_signal(connection, FrameType::switched_over, kSpin);
}

}  // namespace

Result<void> say_commit_soon(DaemonLink& daemon) {
  worker::WorkerEvent event;
  event.mutable_commit_soon();
  return daemon.event(event);
}

Result<void> make_switchover(Connection& connection, DaemonLink& daemon, const FaultInjector& faults) {
  TRY(receive_signal(connection, FrameType::ready, kSpin));
  TRY(ask_for_it(daemon));
  faults.at(FaultPoint::source_switched_over, &connection);
  return send_signal(connection, FrameType::switched_over);
}

Result<void> switch_over(Connection& connection, DaemonLink& daemon, bool source_makes_it) {
  TRY(receive_signal(connection, FrameType::go, kSpin));
  if (!source_makes_it) return ask_for_it(daemon);
  if (daemon.cancelled()) return error(ErrorKind::denied, "the daemon has gone, or calls it off");
  if (have_it_made(connection)) return {};
  return ask_for_it(daemon);  // which finds out that it was made, or makes it, or that it is too late
}

void tell_committed(Connection& connection, const Phases& phases, std::chrono::steady_clock::time_point running_since,
                    std::string warning) {
  wire::Committed committed;
  committed.set_committed(true);
  committed.set_warning(std::move(warning));
  committed.set_running_ms(Phases::milliseconds(std::chrono::steady_clock::now() - running_since));
  committed.set_peak_memory_bytes(sys::peak_memory_bytes());
  committed.mutable_phases()->Assign(phases.list().begin(), phases.list().end());
  if (connection.send(FrameType::committed, committed)) (void)connection.flush();
}

Result<void> fence(DaemonLink& daemon, const Error& lost) {
  worker::WorkerEvent wanted;
  wanted.mutable_fence_wanted();
  auto result = daemon.ask(wanted);
  if (result && result->outcome() == CommitResult::COMMITTED) return Error(lost).within("before the switchover");
  if (result && result->outcome() == CommitResult::REFUSED) return {};
  ::kill(::getpid(), SIGKILL);
  std::abort();
}

}  // namespace godwit::migration
