// What a migration needs of the daemon that started it: to be told how it goes, and to make the switchover in the
// directory.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "godwit/worker.pb.h"

namespace godwit::migration {

class DaemonLink {
 public:
  virtual ~DaemonLink() = default;
  // May be dropped when the daemon does not listen; never blocks for long.
  virtual void progress(const worker::WorkerEvent::Progress& progress) = 0;
  virtual Result<void> event(const worker::WorkerEvent& event) = 0;
  // Sends CommitWanted or FenceWanted and waits for the result.
  virtual Result<worker::WorkerRequest::CommitResult> ask(const worker::WorkerEvent& event) = 0;
  // Whether the daemon has asked to give up, or is gone.
  virtual bool cancelled() = 0;
  // Why it has asked; empty when it has not.
  virtual std::string cancel_reason() = 0;
  // Whether it has asked to end the rounds and leave the rest to post-copy.
  virtual bool switch_wanted() = 0;
  // Whether it has asked to go on, since that was last asked here.
  virtual bool take_wish_to_go_on() = 0;
};

}  // namespace godwit::migration
