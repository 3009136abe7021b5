// A migration to this node: the destination worker, and what it and its end mean for the job. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "node/daemon.h"

namespace godwit::node {

class Arrival {
 public:
  using Told = std::function<void(Result<uint32_t>)>;
  Arrival(Daemon& daemon, api::PrepareRequest request) : daemon_(daemon), request_(std::move(request)) {}
  // `listening` is called once, with the port or why there is none.
  Result<void> start(Told listening);
  // The source gave up. Nothing happens when the switchover is done.
  void abandon();
  const std::string& job() const { return request_.job().id(); }
  void set_version(uint64_t version) { version_ = version; }
  void switched(const worker::WorkerRequest::CommitResult& result, uint64_t new_version);

 private:
  void on_event(const worker::WorkerEvent& event);
  void on_end();
  void switch_over();
  // The job is ours: entered in the table, its init connected, its record kept.
  void adopt();
  void discard();

  Daemon& daemon_;
  api::PrepareRequest request_;
  worker::JobPlace place_;
  std::unique_ptr<WorkerProcess> worker_;
  Told listening_;
  uint64_t version_ = 0;        // of the job's entry in the directory, before the switchover
  uint64_t new_version_ = 0;
  bool committing_ = false;
  bool committed_ = false;
  bool worker_ended_ = false;
  bool abandoned_ = false;
  std::optional<worker::WorkerEvent::Moved> moved_;
};

}  // namespace godwit::node
