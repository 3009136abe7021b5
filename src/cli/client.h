// Calls to a daemon's public API (proto/godwit/api.proto). gRPC is included by client.cc and grpc_console_link.cc only.
//
// Calls block. A failure is one sentence for the user with the exit code that fits, whether the daemon said it or the
// connection broke. Used from one thread, except where a function says otherwise.
#pragma once

#include <godwit/api.pb.h>

#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "cli/address.h"
#include "cli/console_link.h"
#include "cli/exit_code.h"

namespace godwit::cli {

struct Failure {
  std::string sentence;
  int exit_code = kFailed;
};

// Prints it on standard error and returns its exit code.
int complain(const Failure& failure);

template <class T>
using Answer = std::expected<T, Failure>;

class Client {
 public:
  struct Channel;  // in grpc_channel.h
  // Finds the daemon and waits until it answers, a few seconds at most.
  static Answer<Client> connect(const Globals& globals);
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) = delete;

  // The nodes asked are those of a lab: they have /tmp and /run of their own.
  bool in_lab() const;

  Answer<api::RunReply> run(const api::RunRequest& request);
  Answer<api::ListJobsReply> list_jobs(bool all);
  Answer<api::Job> inspect(const std::string& job);
  Answer<api::ExecReply> exec(const api::ExecRequest& request);
  Answer<void> kill(const api::KillRequest& request);
  Answer<void> set_forwarding(const std::string& job, const std::string& mechanism);
  Answer<void> stop(const std::string& job, uint32_t grace_ms);
  Answer<api::NodesReply> nodes();
  Answer<api::TokenReply> token(uint32_t valid_seconds);
  // The wait(2) status word of the job's own program. `timeout_ms` 0: for ever; exit code kFailed when it is over.
  Answer<int> wait(const std::string& job, double timeout_ms);
  // From any thread, while move() runs.
  Answer<void> cancel_move(const std::string& job);
  Answer<void> switch_move(const std::string& job);
  Answer<void> resume_move(const std::string& job);

  // Each event goes to `each`, in order.
  Answer<void> move(const api::MoveRequest& request, const std::function<void(const api::MoveEvent&)>& each);
  // The same until `each` says no.
  Answer<void> logs(const api::LogsRequest& request, const std::function<bool(const api::Output&)>& each);
  Answer<void> events(const std::string& job, const std::function<bool(const api::Event&)>& each);
  Answer<void> trace(const std::string& job, uint32_t port, const std::function<bool(const api::TracedPacket&)>& each);

  struct AttachOptions {
    std::string job;
    uint32_t console = 0;
    bool from_end = false;  // not what was written before
    bool with_input = false;
  };
  // The link keeps the channel; it may outlive this client.
  std::unique_ptr<ConsoleLink> attach(const AttachOptions& options);

 private:
  explicit Client(std::shared_ptr<Channel> channel);
  std::shared_ptr<Channel> channel_;
};

}  // namespace godwit::cli
