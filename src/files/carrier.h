// Content of carried files on its way: in rounds while the program runs, and
// what changed since in the freeze.
//
// A file whose size and times have not changed is not read again. The job's
// scratch directory ($TMPDIR) and its /dev/shm travel whole. One thread on each
// side.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "files/block_stream.h"
#include "files/file_table.h"
#include "files/opener.h"
#include "files/owner_rights.h"
#include "files/tree_transfer.h"
#include "godwit/wire.pb.h"
#include "transport/connection.h"

namespace godwit::files {

class Carrier {
 public:
  // `table` outlives this. `scratch`: the job's $TMPDIR on this node, or empty.
  Carrier(FileTable& table, const image::LogicalHost& plan, const wire::OfferAnswer& answer,
          const std::string& scratch);
  // While the program runs: all of it the first time, then what changed since.
  Result<void> send_content(const SendFrame& send);

  // In the freeze: what changed, files that lost their name, and whatever else
  // the destination asks for.
  Result<void> send_changes(transport::Connection& connection, const image::LogicalHost& state);
  using Ask = std::function<Result<wire::CarriedRequest>()>;
  Result<void> send_changes(const SendFrame& send, const Ask& ask, const image::LogicalHost& state);

  // When the job has gone: written files keep their names here and are noted as left behind; those on hugetlbfs that
  // are the owner's lose them, since they would keep the pool's pages.
  void leave(const worker::JobPlace& place) const;

 private:
  std::vector<std::string> left_behind_paths() const;
  void remove_from_pool(const image::File& file, const Owner& owner) const;
  Result<void> send_trees(const SendFrame& send);
  Result<void> send_changed_files(const SendFrame& send, bool also_by_mappings);
  Result<void> send_file(const SendFrame& send, uint32_t id);

  FileTable& table_;
  std::string scratch_;
  std::map<uint32_t, image::File> plan_;
  std::map<uint32_t, wire::FileVerdict> verdicts_;
  std::set<uint32_t> carried_;
  std::set<uint32_t> of_pool_;  // carried too, but their content goes with the memory
  std::map<uint32_t, SentFile> sent_;
  std::vector<TreeSender> trees_;
};

class Receiver {
 public:
  // Before anything is opened: what an earlier attempt left in the scratch
  // directory is removed.
  Receiver(Opener& opener, worker::JobPlace place);
  Result<void> take(const transport::Frame& frame);
  // In the freeze, after opener.update(): tells the source whose content is
  // wanted, if it waits for that.
  Result<void> ask(transport::Connection& connection) const;
  // Then: whether content may follow that the program's files depend on.
  bool expects_content() const { return !place_.scratch_directory().empty() || !opener_.has_all(); }

 private:
  Result<TreeReceiver*> tree(bool shared_memory);
  TreeReceiver* tree_of(uint32_t id);

  Opener& opener_;
  worker::JobPlace place_;
  std::optional<TreeReceiver> scratch_, shared_memory_;
};

}  // namespace godwit::files
