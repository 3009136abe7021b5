#include "node/switchover.h"

#include <utility>

#include "node/whereabouts.h"

namespace godwit::node {

namespace {

struct Known {
  api::Job job;
  uint64_t version = 0;  // 0: there is no entry
};

Result<Known> read(directory::Directory& directory, const std::string& id) {
  auto entry = TRY(directory.get(job_key(id)));
  Known known;
  if (!entry) return known;
  if (!known.job.ParseFromString(entry->value))
    return error(ErrorKind::corrupt, "the directory's entry does not parse");
  known.version = entry->version;
  return known;
}

}  // namespace

std::string job_key(const std::string& id) { return "job/" + id; }

Result<uint64_t> version_of(directory::Directory& directory, const std::string& id, const std::string& node,
                            uint64_t epoch) {
  Known known = TRY(read(directory, id));
  return known.job.node() == node && known.job.epoch() == epoch ? known.version : 0;
}

api::Job arrived_job(api::Job job, const std::string& from, uint64_t epoch, const std::string& to) {
  job.set_node(to);
  job.set_epoch(epoch + 1);
  job.set_state(api::RUNNING);
  job.set_link_version(job.link_version() + 1);
  remove_partner(job, to);
  add_partner(job, from);
  return job;
}

Ruling switch_over(directory::Directory& directory, const api::Job& arrived, uint64_t version) {
  if (version == 0) return {Decision::elsewhere, 0, 0, "the job was no longer where the migration set out from"};
  auto put = directory.put(job_key(arrived.id()), arrived.SerializeAsString(), directory::Expect::exactly(version));
  if (put) return {Decision::here, *put, arrived.epoch(), {}};
  if (put.error().kind != ErrorKind::conflict) return {Decision::unknown, 0, 0, put.error().message()};
  // Either the source has fenced, or an earlier attempt was carried out and only its answer was lost.
  auto known = read(directory, arrived.id());
  if (!known) return {Decision::unknown, 0, 0, known.error().message()};
  bool ours = known->version != 0 && known->job.node() == arrived.node() && known->job.epoch() == arrived.epoch();
  if (ours) return {Decision::here, known->version, arrived.epoch(), {}};
  return {Decision::elsewhere, 0, 0, "the source has taken the job back"};
}

Ruling settle_arrival(directory::Directory& directory, const api::Job& arrived) {
  auto known = read(directory, arrived.id());
  if (!known) return {Decision::unknown, 0, 0, known.error().message()};
  if (known->version == 0) return {Decision::elsewhere, 0, 0, "there is no such job any more"};
  bool ours = known->job.node() == arrived.node() && known->job.epoch() == arrived.epoch();
  if (ours) return {Decision::here, known->version, arrived.epoch(), {}};
  // The same value under a new version: a compare-and-swap against the former one fails.
  auto put =
      directory.put(job_key(arrived.id()), known->job.SerializeAsString(), directory::Expect::exactly(known->version));
  if (!put) return {Decision::unknown, 0, 0, put.error().message()};
  return {Decision::elsewhere, 0, 0, "the job runs on " + known->job.node()};
}

Ruling fence(directory::Directory& directory, const api::Job& job) {
  constexpr int kAttempts = 8;  // each lost race is somebody else's progress, and there are two sides
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto known = read(directory, job.id());
    if (!known) return {Decision::unknown, 0, 0, known.error().message()};
    bool left = known->version != 0 && known->job.node() != job.node();
    if (left) return {Decision::elsewhere, 0, 0, "the job runs on " + known->job.node()};
    bool fenced = known->version != 0 && known->job.epoch() > job.epoch();
    if (fenced) return {Decision::here, known->version, known->job.epoch(), {}};
    api::Job raised = job;
    raised.set_epoch(job.epoch() + 1);
    raised.set_state(api::RUNNING);
    auto put = directory.put(job_key(job.id()), raised.SerializeAsString(), directory::Expect::exactly(known->version));
    if (put) return {Decision::here, *put, raised.epoch(), {}};
    if (put.error().kind != ErrorKind::conflict) return {Decision::unknown, 0, 0, put.error().message()};
  }
  return {Decision::unknown, 0, 0, "the directory's entry keeps changing"};
}

}  // namespace godwit::node
