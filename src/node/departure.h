// A migration away from this node: the source worker, and what it and its end mean for the job. Loop thread only.
#pragma once

#include <memory>
#include <string>

#include "node/daemon.h"

namespace godwit::node {

class Departure {
 public:
  Departure(Daemon& daemon, std::string job, std::string to, std::string migration, std::shared_ptr<MoveStream> stream);
  Result<void> start(const worker::SourceOrder& order);
  void cancel();

 private:
  void on_event(const worker::WorkerEvent& event);
  void on_end();
  void stays(const worker::WorkerEvent::Failed& failed);
  void left(const worker::Report& report);
  // Asks the directory, and raises the epoch so that no later switchover can succeed.
  void fence(std::function<void(worker::WorkerRequest::CommitResult)> then);
  void finish(api::MoveEvent event);

  Daemon& daemon_;
  std::string job_, to_, migration_, method_;
  std::shared_ptr<MoveStream> stream_;
  std::unique_ptr<WorkerProcess> worker_;
  bool finished_ = false;
};

}  // namespace godwit::node
