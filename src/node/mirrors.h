// Mirrors: what this node's disk has of memory that jobs left behind here (address_space/mirror.h). A migration's own
// worker removes its mirror when all has arrived; when that worker has died, or the whole node has and is back, others
// serve the rest from there, each until the destination has all of it or nobody waits for it any more. Loop thread
// only, but for path_of() and has().
#pragma once

#include <map>
#include <memory>
#include <string>

#include "node/background.h"
#include "node/event_loop.h"
#include "node/worker_process.h"

namespace godwit::node {

class Mirrors {
 public:
  // `clearing`: where large files are removed.
  Mirrors(EventLoop& loop, Background& clearing, const std::string& state_directory);
  std::string path_of(const std::string& migration) const;
  bool has(const std::string& migration) const;
  // Serves all that an earlier daemon left.
  void recover();
  // False: there is none.
  bool serve(const std::string& migration);
  // Of no use: the program runs on here.
  void remove(const std::string& migration);

 private:
  void start(const std::string& migration);
  void ended(const std::string& migration);

  EventLoop& loop_;
  Background& clearing_;
  std::string directory_;
  std::map<std::string, std::unique_ptr<WorkerProcess>> servers_;  // by migration
};

}  // namespace godwit::node
