// Publications: ports of every node that lead to jobs.
//
// The directory has them, an entry each under publish/PROTOCOL/PORT; a compare-and-swap decides whose a port is. Every
// node follows the directory: it keeps the port from other programs and has its kernel send what comes there to the
// job, wherever that is. A node where another program has the port already leaves it to that. When a daemon is started
// anew the first look puts things right; entries of jobs that have ended are removed by whoever sees them. Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "base/unique_fd.h"
#include "directory/directory.h"
#include "forwarding/published_ports.h"
#include "godwit/api.pb.h"
#include "node/background.h"

namespace godwit::node {

class Publications {
 public:
  Publications(std::string self, directory::Directory& directory) : self_(std::move(self)), directory_(directory) {}
  // From here on this node follows, in a thread of its own. `number`: this node's.
  void follow(const forwarding::NodePlace& here, uint32_t number);

  // Whether ports are well-formed and no two of them the same, and the user `uid` may take them: those below 1024 of a
  // machine are root's (ip(7), ip_unprivileged_port_start). Errors: corrupt, denied.
  static Result<void> check(const google::protobuf::RepeatedPtrField<api::Publication>& ports, uint32_t uid);
  // Claims the ports of a job that is in the directory already, all or none; they lead to it from this node when this
  // returns and from others soon after. Blocks. Errors: conflict; unsupported without a network.
  Result<void> claim(const api::Job& job);
  // The job has ended, or goes without. Blocks.
  void withdraw(const api::Job& job);

 private:
  void watch();
  Result<void> claim_one(const api::Job& job, const api::Publication& port);
  // What the directory says becomes so here.
  Result<void> apply();
  bool reserve(const std::string& key, const api::PublishedPort& port);

  std::string self_;
  directory::Directory& directory_;
  uint64_t seen_ = 0;  // the watcher's
  std::mutex mutex_;
  std::optional<forwarding::PublishedPorts> kernel_;  // under mutex_
  std::map<std::string, UniqueFd> reserved_;          // under mutex_; by key
  std::set<std::string> taken_;                       // under mutex_; ports that are another program's here
  Background watcher_{1};
};

// "8080->80/tcp"
std::string to_text(const api::Publication& port);

}  // namespace godwit::node
