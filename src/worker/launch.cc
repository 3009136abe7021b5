#include "worker/launch.h"

#include "coprocess/init_client.h"
#include "coprocess/logical_host.h"
#include "forwarding/job_link.h"

namespace godwit::worker_process {

namespace {

coprocess::ProgramToStart program_of(const worker::Launch& order) {
  const worker::Console& console = order.console();
  coprocess::ProgramToStart program;
  program.console = console.number();
  program.terminal = console.terminal();
  program.discard_stdin = console.discard_stdin();
  program.rows = static_cast<uint16_t>(console.rows());
  program.columns = static_cast<uint16_t>(console.columns());
  program.uid = order.place().uid();
  program.gid = order.place().gid();
  program.groups = {order.place().groups().begin(), order.place().groups().end()};
  program.directory = order.working_directory();
  program.log_path = console.log_path();
  program.command = {order.command().begin(), order.command().end()};
  program.environment = {order.environment().begin(), order.environment().end()};
  return program;
}

// A job without a network runs all the same.
Result<forwarding::JobLink> network(const worker::NetworkPlace& place, pid_t init) {
  auto link = TRY(forwarding::JobLink::create(place, init));
  TRY(link.attach());
  return link;
}

}  // namespace

Result<worker::WorkerEvent> launch(const worker::Launch& order) {
  if (order.command_size() == 0) return error(ErrorKind::denied, "no command was given");
  coprocess::LogicalHost host = TRY(coprocess::LogicalHost::create({.place = order.place(), .clocks = {}}));
  auto link = network(order.place().network(), host.init_pid());
  auto init = TRY(coprocess::InitClient::connect(order.place().run_directory() + "/init.sock"));
  int32_t pid = TRY(init.start(program_of(order)));
  host.commit();
  if (link) link->commit();
  worker::WorkerEvent event;
  event.mutable_launched()->set_init_pid(host.init_pid());
  event.mutable_launched()->set_program_pid(pid);
  if (!link) event.mutable_launched()->set_no_network(link.error().message());
  return event;
}

}  // namespace godwit::worker_process
