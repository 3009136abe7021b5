// DepartingHost: the memory of all processes of a logical host at the source, over the rounds and the freeze.
//
// It keeps what the destination has been told (layouts, processes) and what it was sent. One thread only. A failure
// leaves the program as it is: write tracking ends with the scope.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "address_space/convergence.h"
#include "address_space/departing_memory.h"
#include "address_space/departing_objects.h"
#include "address_space/page_server.h"
#include "base/result.h"
#include "coprocess/passing_processes.h"
#include "freeze/seized_tree.h"
#include "migration/inventory.h"
#include "transport/connection.h"

namespace godwit::migration {

class DepartingHost {
 public:
  // `told`: the plan that the destination builds its skeleton from.
  DepartingHost(Inventory& inventory, transport::Connection& connection, address_space::DepartingObjects objects,
                std::unique_ptr<address_space::PageShortcuts> shortcuts, const image::LogicalHost& told);

  // Of a round: what it sent, how long that took, and about what was written meanwhile.
  struct RoundResult {
    uint64_t bytes = 0;
    std::chrono::nanoseconds length{0};
    uint64_t left_bytes = 0;
  };
  using Report = std::function<void(const RoundResult&)>;

  // Begins to track writes in every process that is not tracked yet. Requires: all threads are stopped.
  Result<void> track(freeze::SeizedTree& tree);
  // Pages travel by further connections too; or no longer (nullptr). Not in the freeze.
  void travel_by(address_space::SendingStreams* streams) { sender_.travel_by(streams); }
  // Asked during rounds, with the bytes sent in this one; see PageSender::Watch.
  void watch(address_space::PageSender::Watch watch);
  // Stops the program for a moment and calls track().
  using TrackNew = std::function<Result<void>()>;
  // What else travels between rounds, before the memory of the next one.
  using SendOthers = std::function<Result<void>()>;
  // Rounds while the program runs, until the rule says what to do, which may be in the midst of one; nothing when the
  // watch stopped them. Processes that come meanwhile are tracked when they have lasted for a round or have grown
  // large; the others are left for the freeze. Errors: unsupported when the program comes to use what cannot be moved;
  // the watch's.
  Result<std::optional<address_space::Convergence::Verdict>> run_rounds(address_space::Convergence& rule,
                                                                        const SendOthers& send_others,
                                                                        const Report& report,
                                                                        const TrackNew& track_new);
  // For post-copy, when rounds are over: tells the destination of what is not to be sent before the switchover, so that
  // little is left to tell in the freeze, and sends what cannot follow later.
  Result<void> tell_of_rest();
  // After the last round: what was written in it, or that it is to come later, without waiting until the destination
  // has it, so that the freeze finds less.
  Result<void> send_last_writes(bool leave_rest);
  // Whether there is so much memory that others share in the look at it.
  bool needs_help_to_look() const { return address_space::FrozenLook::is_worth_help(look_bytes()); }
  // As soon as all threads are stopped: much memory is looked at until send_rest() or leave_rest().
  void begin_to_look();
  // In the freeze: what the destination lacks, and all memory objects.
  Result<void> send_rest(const image::LogicalHost& state);

  // For post-copy: what the program needs at once; everything else is told of and handed to `server`.
  Result<void> leave_rest(const image::LogicalHost& state, const freeze::SeizedTree& tree,
                          address_space::PageServer& server);

  // Leaves what the processes have of their own, and memory objects, in a file of this node. Requires: they stand
  // still.
  Result<void> write_cache(const std::string& path) const;

  address_space::PageCounts counts() const { return sender_.counts(); }
  const address_space::PageShortcuts::Counts& shortcuts() const { return shortcuts_->counts(); }
  uint64_t redundant_pages() const;

 private:
  Result<void> follow_program();
  Result<void> follow_layout();
  Result<void> follow_frozen(const image::LogicalHost& state);
  void follow(const image::LogicalHost& host);
  void look_for_passing(std::optional<uint32_t> next_pid);
  Result<std::optional<uint32_t>> next_pid(const image::LogicalHost& host) const;
  Result<void> find_object_writes(address_space::Pass pass);
  Result<void> send_objects(address_space::Pass pass);
  struct Brought {
    uint64_t bytes, known_bytes;
  };
  Result<Brought> round();
  Result<void> take_lacking(transport::FrameHeader header);
  Result<void> pass_over(const std::function<Result<void>(address_space::DepartingMemory&)>& send);
  Result<void> end_round();
  Result<void> track_lasting(const TrackNew& track_new);
  Result<uint64_t> untracked_bytes() const;
  Result<std::string> fingerprint() const;
  Result<bool> goes_on(uint64_t sent_bytes);
  uint64_t written_again();
  uint64_t look_bytes() const;

  Inventory& inventory_;
  transport::Connection& connection_;
  address_space::PageSender sender_;
  std::unique_ptr<address_space::PageShortcuts> shortcuts_;
  uint64_t lacking_pages_ = 0;                                // of the last round
  std::map<pid_t, address_space::DepartingMemory> memories_;  // by pid in the job
  address_space::DepartingObjects objects_;
  std::unique_ptr<Crew> crew_;  // waits for the freeze
  coprocess::PassingProcesses passing_;
  image::LogicalHost told_;
  std::string fingerprint_;
  std::set<pid_t> untracked_;                                        // in the last round, in our own pid namespace
  uint64_t redundant_pages_ = 0;                                     // of processes that have ended
  uint64_t left_over_ = UINT64_MAX;                                  // about, by the last round: pages or ranges
  uint64_t sent_before_ = 0;                                         // bytes, before this round
  std::optional<std::chrono::steady_clock::time_point> last_begin_;  // of a round
  address_space::PageSender::Watch watch_;
  const address_space::Convergence* rule_ = nullptr;  // during rounds
  bool pays_ = true;                                  // the round under way
  std::chrono::steady_clock::time_point next_look_;   // in it, at what was written again
};

}  // namespace godwit::migration
