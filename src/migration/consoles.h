// The consoles of a moving job: their logs travel ahead, their state with the frozen program; at the destination a
// fresh godwit-init takes them over and gives the job's side of pipes and terminals to the restored processes.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "coprocess/init_client.h"
#include "godwit/wire.pb.h"
#include "godwit/worker.pb.h"
#include "objects/description.h"
#include "sys/urgency.h"
#include "transport/connection.h"

namespace godwit::migration {

// Of an order, an offer or a final state.
template <class Message>
std::vector<worker::Console> consoles_of(const Message& message) {
  return {message.consoles().begin(), message.consoles().end()};
}

// ---- source

// How the job's side of each console is recognised among descriptors.
Result<objects::ConsoleEnds> console_ends(coprocess::InitClient& init, int init_pidfd,
                                          const std::vector<worker::Console>& consoles);

// godwit-init keeps its hands off while this lives, unless the job has left. Meanwhile it is urgent: it answers while
// urgent threads of ours look at memory on all processors. Should we die, it is ordinary again when it is released.
class HeldConsoles {
 public:
  // Before the freeze: nothing is held yet.
  HeldConsoles(coprocess::InitClient& init, pid_t init_pid)
      : init_(&init), urgency_(sys::Urgency::begin_of(init_pid)) {}
  ~HeldConsoles();
  HeldConsoles(const HeldConsoles&) = delete;
  HeldConsoles& operator=(const HeldConsoles&) = delete;
  // Requires: the job is frozen. Does not wait; now() does.
  Result<void> ask();
  // The consoles as they are now; all output is in their logs. Once.
  Result<std::vector<worker::Console>> now(const std::vector<worker::Console>& consoles) const;
  void commit() {
    asked_ = false;
    urgency_.reset();
  }

 private:
  coprocess::InitClient* init_;
  bool asked_ = false;
  std::optional<sys::Urgency> urgency_;
};

class LogSender {
 public:
  // What is in the logs already, while the program runs.
  Result<void> send_history(transport::Connection& connection, const std::vector<worker::Console>& consoles);
  // From there to each console's log_end.
  Result<void> send_rest(transport::Connection& connection, const std::vector<worker::Console>& consoles);

 private:
  Result<void> send(transport::Connection& connection, const worker::Console& console, uint64_t end);
  std::map<uint32_t, uint64_t> sent_;
};

// ---- destination

Result<void> append_log(const worker::JobPlace& place, const wire::LogPart& part);

class AdoptedConsoles {
 public:
  static Result<AdoptedConsoles> create(const worker::JobPlace& place, int init_pidfd);
  // Makes both ends of those that are new, while the program still runs where it comes from.
  Result<void> adopt(std::span<const worker::Console> consoles);
  // It is frozen, and these are its consoles.
  Result<void> take_state(std::span<const worker::Console> consoles);
  std::vector<objects::ConsoleFd> ends() const;
  // The processes have their descriptors: only they keep the job's side open.
  Result<void> ends_taken();
  // The switchover is done.
  Result<void> release() { return init_.release(); }

 private:
  struct End {
    uint32_t console, stream;
    bool terminal;
    UniqueFd fd;
  };
  AdoptedConsoles(const worker::JobPlace& place, int init_pidfd, coprocess::InitClient init)
      : place_(place), init_pidfd_(init_pidfd), init_(std::move(init)) {}
  init::AdoptConsole state_of(const worker::Console& console) const;
  const worker::JobPlace& place_;
  int init_pidfd_;  // the logical host's
  coprocess::InitClient init_;
  std::set<uint32_t> adopted_;
  std::vector<End> ends_;
};

}  // namespace godwit::migration
