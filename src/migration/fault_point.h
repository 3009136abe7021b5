// Fault points: the stage boundaries at which a test may have a worker killed or its connection cut, to show that every
// failure before the switchover leaves the program running at the source, and every one after it at the destination;
// but for a worker killed while memory is still behind, which ends the job.
// Chosen by name ("source.frozen.kill") through a hidden option of godwitd; never active otherwise.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace godwit::transport {
class Connection;
}

namespace godwit::migration {

enum class FaultPoint {
  source_connected,
  source_offered,
  source_skeleton_ready,
  source_frozen,
  source_state_sent,
  source_memory_sent,
  source_ready,
  source_switched_over,  // where the source makes the switchover: the other side does not know yet
  source_pushing,        // half of what was left behind has been sent
  source_committed,
  destination_listening,
  destination_offered,
  destination_skeleton_ready,
  destination_state_received,
  destination_restored,
  destination_ready,
  destination_committed,
  destination_running,
  destination_arriving,  // some of what was left behind is in place
};

enum class FaultAction { kill, cut };

struct Fault {
  FaultPoint point;
  FaultAction action;
};

// Every fault point and action by name, "source.connected.kill" and so on.
std::vector<std::string> fault_names();
// No fault for an empty name; ErrorKind::denied for one that does not exist.
Result<std::optional<Fault>> parse_fault(std::string_view name);

class FaultInjector {
 public:
  explicit FaultInjector(std::optional<Fault> fault) : fault_(fault) {}
  // Kills this process or shuts the connection's socket when `point` is the chosen one.
  void at(FaultPoint point, transport::Connection* connection) const;

 private:
  std::optional<Fault> fault_;
};

}  // namespace godwit::migration
