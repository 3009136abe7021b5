// Content of carried files on its way: in rounds while the program runs, and what changed since in the freeze.
//
// Blocks of kBlockBytes are remembered by a quick hash; a file whose size and times have not changed is not read again. The job's
// scratch directory ($TMPDIR) travels whole. Holes stay holes. One thread on each side.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "files/file_table.h"
#include "files/opener.h"
#include "godwit/wire.pb.h"
#include "transport/connection.h"

namespace godwit::files {

constexpr size_t kBlockBytes = size_t{128} << 10;

class Carrier {
 public:
  Carrier(FileTable& table, const image::LogicalHost& plan, const wire::OfferAnswer& answer, std::string scratch);
  // While the program runs.
  Result<void> send_content(transport::Connection& connection);
  // In the freeze: what changed, and files that came into use since the plan.
  Result<void> send_changes(transport::Connection& connection, const image::LogicalHost& state);
  // Carried files that keep a name here: they are noted as left behind.
  std::vector<std::string> left_behind_paths() const;

 private:
  struct Sent {
    uint64_t size = 0;
    int64_t mtime_ns = 0, ctime_ns = 0;
    std::map<uint64_t, uint64_t> blocks;  // offset -> hash
  };
  Result<void> send_file(transport::Connection& connection, uint32_t id, int fd, Sent& sent);
  Result<void> send_scratch(transport::Connection& connection);

  FileTable& table_;
  std::string scratch_;
  std::set<uint32_t> carried_;
  std::set<uint32_t> decided_;
  std::set<uint64_t> shared_devices_;
  std::map<uint32_t, Sent> sent_;
  std::map<std::string, Sent> scratch_sent_;   // by path below the scratch directory
  std::map<std::string, uint32_t> scratch_ids_;
};

class Receiver {
 public:
  Receiver(Opener& opener, worker::JobPlace place) : opener_(opener), place_(std::move(place)) {}
  Result<void> take(const transport::Frame& frame);

 private:
  Result<void> take_scratch(const wire::ScratchEntry& entry);
  Opener& opener_;
  worker::JobPlace place_;
  std::map<uint32_t, UniqueFd> scratch_;
};

}  // namespace godwit::files
