// Channel: a worker's side of the connection to the daemon that exec'd it (proto/godwit/worker.proto, descriptor 3).
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "migration/daemon_link.h"

namespace godwit::worker_process {

class Channel : public migration::DaemonLink {
 public:
  explicit Channel(UniqueFd fd) : fd_(std::move(fd)), start_(std::chrono::steady_clock::now()) {}

  Result<worker::WorkerOrder> order();
  void progress(const worker::WorkerEvent::Progress& progress) override;
  Result<void> event(const worker::WorkerEvent& event) override;
  Result<worker::WorkerRequest::CommitResult> ask(const worker::WorkerEvent& event) override;
  bool cancelled() override;
  std::string cancel_reason() override;
  bool switch_wanted() override;
  bool take_wish_to_go_on() override;

 private:
  Result<worker::WorkerRequest> request(int timeout_ms);
  void note(const worker::WorkerRequest& request);
  void read_requests();

  UniqueFd fd_;
  bool cancelled_ = false;
  bool switch_wanted_ = false;
  bool wish_to_go_on_ = false;
  std::string cancel_reason_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace godwit::worker_process
