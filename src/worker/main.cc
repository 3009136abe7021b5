// godwit-worker: does one piece of work for the daemon that exec'd it, and ends. Roles: launch, source, destination,
// mirror.
// A worker that fails or is killed takes nothing with it: what it held is put back by its scopes, the kernel or the
// daemon.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "migration/destination.h"
#include "migration/fault_point.h"
#include "migration/mirrored_push.h"
#include "migration/source.h"
#include "sys/descriptors.h"
#include "sys/residency.h"
#include "sys/scheduling.h"
#include "worker/channel.h"
#include "worker/launch.h"

namespace godwit::worker_process {
namespace {

void be_resident() {
  constexpr size_t kStack = 256 << 10;
  constexpr size_t kDescriptions = 1000;
  sys::keep_heap();
  sys::touch_stack(kStack);
  sys::populate_code();
  sys::grow_descriptor_table(kDescriptions);  // for most jobs
}

Result<void> work(const worker::WorkerOrder& order, Channel& channel) {
  switch (order.order_case()) {
    case worker::WorkerOrder::kLaunch: return channel.event(TRY(launch(order.launch())));
    case worker::WorkerOrder::kSource: be_resident(); return migration::run_source(order.source(), channel);
    case worker::WorkerOrder::kDestination:
      be_resident();
      return migration::run_destination(order.destination(), channel);
    case worker::WorkerOrder::kMirror: return migration::run_mirrored_push(order.mirror(), channel);
    case worker::WorkerOrder::ORDER_NOT_SET: break;
  }
  return error(ErrorKind::corrupt, "an empty order");
}

int run() {
  constexpr int kChannel = 3;
  ::fcntl(kChannel, F_SETFD, FD_CLOEXEC);
  ::signal(SIGPIPE, SIG_IGN);
  sys::set_own_nice(0);  // the daemon's own is not for us, nor for the programs we start
  Channel channel((UniqueFd(kChannel)));
  auto order = channel.order();
  Result<void> outcome;
  if (order) {
    outcome = work(*order, channel);
  } else {
    outcome = std::unexpected(std::move(order.error()));
  }
  if (outcome) return 0;
  worker::WorkerEvent event;
  event.mutable_failed()->set_kind(std::string(to_string(outcome.error().kind)));
  event.mutable_failed()->set_message(outcome.error().message());
  event.mutable_failed()->set_source_intact(true);
  auto told = channel.event(event);
  if (!told) fprintf(stderr, "godwit-worker: %s\n", outcome.error().message().c_str());
  return 1;
}

}  // namespace
}  // namespace godwit::worker_process

int main(int count, char** arguments) {
  if (count == 2 && strcmp(arguments[1], "--list-faults") == 0) {
    for (const std::string& name : godwit::migration::fault_names()) puts(name.c_str());
    return 0;
  }
  if (::isatty(3) != 0 || ::fcntl(3, F_GETFD) < 0) {
    fputs("godwit-worker is started by godwitd, not by hand\n", stderr);
    return 2;
  }
  return godwit::worker_process::run();
}
