// A job as the daemon of the node where it is knows it. Belongs to the loop's thread, but for its watch.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "coprocess/init_client.h"
#include "godwit/api.pb.h"
#include "node/job_state.h"

namespace godwit::node {

// What others wait for: output, the end, the departure. Thread-safe.
class JobWatch {
 public:
  struct Snapshot {
    uint64_t changes = 0;
    bool gone = false;              // it is not here any more (moved or removed)
    std::map<uint32_t, int> ended;  // console -> wait(2) status
  };
  void changed();
  void console_ended(uint32_t console, int status);
  void went();
  // Returns when something changed since `seen`, or after `patience`.
  Snapshot wait(uint64_t seen, std::chrono::milliseconds patience);

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  Snapshot now_;  // under mutex_
};

struct Job {
  api::Job record;  // what the directory and users see; record.consoles is current
  worker::JobPlace place;
  std::optional<api::MoveEvent::Moved> last_move;  // that brought it here
  JobState state = JobState::starting;
  std::optional<coprocess::InitClient> init;
  std::shared_ptr<JobWatch> watch = std::make_shared<JobWatch>();
};

std::string log_path(const worker::JobPlace& place, uint32_t console);
worker::Console* find_console(Job& job, uint32_t number);

// The job as it is written to its state directory, so that a restarted daemon finds it: and back.
std::string stored_form(const Job& job);
Result<void> store_job(const std::string& state_directory, const std::string& stored_form);
Result<Job> load_job(const std::string& state_directory);

enum class Keep { record, nothing };
// Ends what runs there and removes what lies there; the record is the state directory with logs and status. Blocks for
// seconds at worst.
void remove_place(const worker::JobPlace& place, Keep keep);

}  // namespace godwit::node
