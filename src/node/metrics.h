// What a monitoring system is told of this node, in Prometheus' text format over HTTP: jobs by state, moves by their
// end, freeze times, bytes, pages fetched, messages. Everything is looked up when it is asked for; nobody is told
// apart: the figures name no job and no user. prometheus-cpp stays in metrics.cc.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "godwit/api.pb.h"
#include "node/move_tally.h"

namespace godwit::node {

class Daemon;

struct Figures {
  std::map<std::string, uint64_t> jobs;  // here, by state
  uint64_t leaving = 0, arriving = 0;    // moves under way
  MoveTally moves;
  api::MessageCounts messages;
};

class MetricsServer {
 public:
  virtual ~MetricsServer() = default;
  // `address`: HOST:PORT. Errors: failed when it cannot be listened on.
  static Result<std::unique_ptr<MetricsServer>> start(Daemon& daemon, const std::string& address);
};

}  // namespace godwit::node
