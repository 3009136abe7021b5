// Where each file of a job will come from at the destination, decided before
// anything is touched.
//
// SHARED: the same object at the same path (same machine, or a network file
// system). LOCAL_EQUIVALENT: not written by the job, and the destination's own
// has the same content. CARRIED: the content moves. JOB_PRIVATE: made with the
// job's namespaces. A file that would overwrite somebody else's is refused.
// Paths and numbers in an offer come from a peer.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "files/file_table.h"
#include "files/hash_cache.h"
#include "files/left_behind.h"
#include "files/owner_rights.h"
#include "godwit/image.pb.h"
#include "godwit/wire.pb.h"
#include "godwit/worker.pb.h"
#include "proc/mountinfo.h"

namespace godwit::files {

// Source: content hashes of the regular files that the destination may have
// too. `skip_devices`: devices known to be shared.
Result<void> add_hashes(FileTable& table, image::LogicalHost& host, const std::set<uint64_t>& skip_devices);

struct DestinationView {
  std::string boot_id;
  std::string root;  // where paths begin here; "" is this process's own root
  Owner owner;       // the job's
  std::string job;
  std::string scratch;  // the job's $TMPDIR: it arrives whole
  LeftBehind left_behind;
  std::vector<proc::Mount> mounts;
  std::shared_ptr<HashCache> hashes = std::make_shared<HashCache>();
  static Result<DestinationView> of_this_node(const worker::JobPlace& place, const LeftBehind& left_behind);
};

// Huge pages that carried files on hugetlbfs need, by the device of their mount here.
using PoolUse = std::map<uint64_t, uint64_t>;

// One file. `source_boot_id`: of the machine that made the offer. `use`: by those that were decided upon with it.
wire::FileVerdict decide_one(const image::File& file, const std::string& source_boot_id, const DestinationView& view,
                             std::vector<worker::Refusal>& refusals, PoolUse& use);
std::vector<wire::FileVerdict> decide(const image::LogicalHost& plan, const std::string& source_boot_id,
                                      const DestinationView& view, std::vector<worker::Refusal>& refusals);

// Whether `status` still is what a verdict found.
bool is_still(const wire::FileVerdict::Here& found, const struct stat& status);

// Regular files of the final state about which only the destination can tell
// whether their content must travel: they came into use after the plan, or
// changed, and are not carried anyway. Both sides ask this and get the same
// answer.
std::set<uint32_t> open_questions(const std::map<uint32_t, image::File>& plan,
                                  const std::map<uint32_t, wire::FileVerdict>& verdicts,
                                  const image::LogicalHost& state);

// For reports and --dry-run.
std::vector<worker::FilePlan> plan_rows(const image::LogicalHost& host, const wire::OfferAnswer& answer);
// Files (image.File.id) that turned out to be shared.
std::set<uint32_t> shared_files(const wire::OfferAnswer& answer);
// Devices (st_dev at the source) with a file that turned out to be shared.
std::set<uint64_t> shared_devices(const image::LogicalHost& host, const wire::OfferAnswer& answer);

}  // namespace godwit::files
