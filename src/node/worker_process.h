// A worker that this daemon exec'd: its process and the channel to it (proto/godwit/worker.proto).
//
// Belongs to the loop's thread. When the channel ends, on_end is called once; a worker that is destroyed is killed.
// Fork never does work: posix_spawn(3) and nothing else.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "godwit/worker.pb.h"
#include "node/event_loop.h"

namespace godwit::node {

class WorkerProcess {
 public:
  struct Callbacks {
    std::function<void(const worker::WorkerEvent&)> event;
    std::function<void()> end;  // the worker is gone; destroying it from here is allowed
  };
  static Result<std::unique_ptr<WorkerProcess>> start(EventLoop& loop, const worker::WorkerOrder& order,
                                                      Callbacks callbacks);
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;

  Result<void> send(const worker::WorkerRequest& request);
  void kill();

 private:
  WorkerProcess(EventLoop& loop, UniqueFd channel, pid_t pid, Callbacks callbacks);
  void read();
  Result<void> send_bytes(const std::string& body);

  EventLoop& loop_;
  UniqueFd channel_;
  pid_t pid_;
  Callbacks callbacks_;
  std::string received_;
  bool ended_ = false;  // and its pid no longer ours
};

// The directory that this program's siblings (godwit-worker, godwit-init) are in.
std::string program_directory();

}  // namespace godwit::node
