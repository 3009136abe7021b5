// The consoles of a moving job: their logs travel ahead, their state with the frozen program; at the destination a
// fresh godwit-init takes them over and gives the job's side of pipes and terminals to the restored processes.
#pragma once

#include <map>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "coprocess/init_client.h"
#include "godwit/wire.pb.h"
#include "godwit/worker.pb.h"
#include "objects/descriptor_table.h"
#include "transport/connection.h"

namespace godwit::migration {

// ---- source

// How the job's side of each console is recognised among descriptors.
Result<objects::ConsoleEnds> console_ends(coprocess::InitClient& init, int init_pidfd,
                                          const std::vector<worker::Console>& consoles);

// godwit-init keeps its hands off while this lives, unless the job has left.
class HeldConsoles {
 public:
  // Requires: the job is frozen. All its output is in the logs afterwards.
  static Result<HeldConsoles> hold(coprocess::InitClient& init);
  ~HeldConsoles();
  HeldConsoles(HeldConsoles&& other) noexcept
      : init_(std::exchange(other.init_, nullptr)), states_(std::move(other.states_)) {}
  HeldConsoles& operator=(HeldConsoles&&) = delete;
  // The consoles as they are now.
  std::vector<worker::Console> now(const std::vector<worker::Console>& consoles) const;
  void commit() && { init_ = nullptr; }

 private:
  HeldConsoles(coprocess::InitClient* init, std::map<uint32_t, init::ConsoleState> states)
      : init_(init), states_(std::move(states)) {}
  coprocess::InitClient* init_;
  std::map<uint32_t, init::ConsoleState> states_;
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
  static Result<AdoptedConsoles> adopt(const worker::JobPlace& place, int init_pidfd,
                                       const std::vector<worker::Console>& consoles);
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
  explicit AdoptedConsoles(coprocess::InitClient init) : init_(std::move(init)) {}
  coprocess::InitClient init_;
  std::vector<End> ends_;
};

}  // namespace godwit::migration
