// What users and other daemons ask about messages to jobs: places, mechanisms, counts.
#include <spdlog/spdlog.h>

#include <future>
#include <set>

#include "forwarding/packet_trace.h"
#include "node/daemon.h"
#include "node/switchover.h"

namespace godwit::node {

api::Whereabouts Daemon::where(const api::WhereRequest& request) {
  return loop_.call([&] { return messages_.where(request); });
}

void Daemon::told_where(const api::Whereabouts& word) {
  loop_.call([&] { messages_.told(word); });
}

Result<void> Daemon::set_forwarding(const std::string& id, const std::string& mechanism) {
  TRY(forwarding::find_mechanism(mechanism));
  auto changed = loop_.call([&]() -> Result<api::Job> {
    Job* job = TRY(running(id));
    if (job->state == JobState::moving) return error(ErrorKind::retry, "the job is being moved; try again");
    job->record.set_forwarding(mechanism);
    if (job->place.has_network()) job->place.mutable_network()->set_forwarding(mechanism);
    messages_.mechanism_changed(*job);
    save(*job);
    return job->record;
  });
  if (!changed) return std::unexpected(changed.error());
  // Nodes that look for it learn the mechanism from the directory.
  uint64_t version = TRY(version_of(*directory_, id, config_.node, changed->epoch()));
  if (version == 0) return {};  // it moved on; the record went along
  auto put = directory_->put(job_key(id), changed->SerializeAsString(), directory::Expect::exactly(version));
  if (!put && put.error().kind != ErrorKind::conflict) return std::unexpected(put.error());
  return {};
}

api::MessageCounts Daemon::count_messages(uint32_t address) {
  return loop_.call([&] { return messages_.count(address); });
}

Result<forwarding::PacketTrace> Daemon::trace_packets(uint32_t address) {
  auto place = loop_.call([&]() -> Result<forwarding::NodePlace> {
    if (!messages_.ready()) return error(ErrorKind::unsupported, config_.node + " has no network for jobs");
    return messages_.place();
  });
  if (!place) return std::unexpected(place.error());
  return forwarding::PacketTrace::open(*place, forwarding::VirtualAddress{address});
}

api::MessageCounts Daemon::count_messages_everywhere(const api::Job& job) {
  api::MessageCounts sum = count_messages(job.virtual_address());
  std::set<std::string> nodes(job.partners().begin(), job.partners().end());
  nodes.insert(job.home());
  nodes.erase(config_.node);
  std::vector<std::future<Result<api::MessageCounts>>> answers;
  api::WhereRequest request;
  request.set_address(job.virtual_address());
  for (const std::string& node : nodes) {
    answers.push_back(std::async(std::launch::async, [&, node] { return peers_.count_messages(node, request); }));
  }
  for (auto& answer : answers) {
    auto counts = answer.get();
    if (!counts) continue;  // a node that is down has nothing to say
    sum.set_held(sum.held() + counts->held());
    sum.set_forwarded(sum.forwarded() + counts->forwarded());
    sum.set_resent(sum.resent() + counts->resent());
    sum.set_dropped(sum.dropped() + counts->dropped());
    sum.set_located(sum.located() + counts->located());
    sum.set_counted(sum.counted() && counts->counted());
  }
  return sum;
}

}  // namespace godwit::node
