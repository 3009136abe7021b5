#include "migration/fault_point.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "transport/connection.h"

namespace godwit::migration {

namespace {

constexpr std::array<std::pair<FaultPoint, std::string_view>, 19> kNames{{
    {FaultPoint::source_connected, "source.connected"},
    {FaultPoint::source_offered, "source.offered"},
    {FaultPoint::source_skeleton_ready, "source.skeleton_ready"},
    {FaultPoint::source_frozen, "source.frozen"},
    {FaultPoint::source_state_sent, "source.state_sent"},
    {FaultPoint::source_memory_sent, "source.memory_sent"},
    {FaultPoint::source_ready, "source.ready"},
    {FaultPoint::source_switched_over, "source.switched_over"},
    {FaultPoint::source_pushing, "source.pushing"},
    {FaultPoint::source_committed, "source.committed"},
    {FaultPoint::destination_listening, "destination.listening"},
    {FaultPoint::destination_offered, "destination.offered"},
    {FaultPoint::destination_skeleton_ready, "destination.skeleton_ready"},
    {FaultPoint::destination_state_received, "destination.state_received"},
    {FaultPoint::destination_restored, "destination.restored"},
    {FaultPoint::destination_ready, "destination.ready"},
    {FaultPoint::destination_committed, "destination.committed"},
    {FaultPoint::destination_running, "destination.running"},
    {FaultPoint::destination_arriving, "destination.arriving"},
}};
constexpr std::array<std::pair<FaultAction, std::string_view>, 2> kActions{
    {{FaultAction::kill, ".kill"}, {FaultAction::cut, ".cut"}}};

}  // namespace

std::vector<std::string> fault_names() {
  std::vector<std::string> names;
  for (auto [point, name] : kNames) {
    for (auto [action, suffix] : kActions) names.push_back(std::string(name) + std::string(suffix));
  }
  return names;
}

Result<std::optional<Fault>> parse_fault(std::string_view text) {
  if (text.empty()) return std::optional<Fault>();
  for (auto [point, name] : kNames) {
    for (auto [action, suffix] : kActions) {
      if (text == std::string(name) + std::string(suffix)) return std::optional<Fault>(Fault{point, action});
    }
  }
  return error(ErrorKind::denied, "there is no fault point " + std::string(text));
}

void FaultInjector::at(FaultPoint point, transport::Connection* connection) const {
  if (!fault_ || fault_->point != point) return;
  if (fault_->action == FaultAction::kill) ::kill(::getpid(), SIGKILL);
  if (connection != nullptr) ::shutdown(connection->fd(), SHUT_RDWR);
}

}  // namespace godwit::migration
