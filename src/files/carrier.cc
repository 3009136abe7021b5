#include "files/carrier.h"

#include <fcntl.h>

#include <filesystem>

#include "files/left_behind.h"
#include "files/owner_rights.h"
#include "sys/directory_entry.h"

namespace godwit::files {

namespace {

namespace fs = std::filesystem;
using transport::FrameType;

constexpr uint32_t kTreeIds = 1u << 29;  // of one tree

template <class Message>
Result<Message> parse(const transport::Frame& frame) {
  Message message;
  if (!message.ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size()))) {
    return error(ErrorKind::corrupt, "a message about a carried file does not parse");
  }
  return message;
}

SendFrame sender_on(transport::Connection& connection) {
  return [&connection](FrameType type, const google::protobuf::MessageLite& message) {
    return connection.send(type, message);
  };
}

}  // namespace

Carrier::Carrier(FileTable& table, const image::LogicalHost& plan, const wire::OfferAnswer& answer,
                 const std::string& scratch)
    : table_(table), scratch_(scratch) {
  for (const image::File& file : plan.files()) plan_[file.id()] = file;
  for (const wire::FileVerdict& verdict : answer.files()) {
    if (!table_.contains(verdict.file())) continue;  // of a file we never told of
    verdicts_[verdict.file()] = verdict;
    const image::File& file = table_.get(verdict.file());
    if (verdict.origin() == image::File::CARRIED && S_ISREG(file.mode())) {
      (file.page_bytes() != 0 ? of_pool_ : carried_).insert(file.id());
    } else {
      table_.settle_name(verdict.file());
    }
  }
  if (!scratch_.empty()) trees_.emplace_back(table_.root() + scratch_, false, kFirstTreeId);
  trees_.emplace_back(table_.root() + "/dev/shm", true, kFirstTreeId + kTreeIds);
}

Result<void> Carrier::send_file(const SendFrame& send, uint32_t id) {
  auto fd = table_.readable_fd(id);
  auto sent = fd ? send_blocks(send, id, *fd, sent_[id]) : Result<void>(std::unexpected(fd.error()));
  return std::move(sent).within(table_.get(id).path());
}

Result<void> Carrier::send_trees(const SendFrame& send) {
  auto elsewhere = [this](uint64_t device, uint64_t inode) {
    auto id = table_.find(device, inode);
    return id && carried_.contains(*id);
  };
  for (TreeSender& tree : trees_) TRY(tree.send(send, elsewhere));
  return {};
}

Result<void> Carrier::send_content(const SendFrame& send) {
  TRY(send_trees(send));
  return send_changed_files(send, false);
}

// Writes through a mapping change the time only when the page is cleaned.
Result<void> Carrier::send_changed_files(const SendFrame& send, bool also_by_mappings) {
  for (uint32_t id : carried_) {
    struct stat status = TRY(sys::status_of(TRY(table_.readable_fd(id))));
    bool may_have_changed = also_by_mappings && table_.get(id).mapped_shared();
    if (!is_unchanged(sent_[id], status) || may_have_changed) TRY(send_file(send, id));
  }
  return {};
}

Result<void> Carrier::send_changes(const SendFrame& send, const Ask& ask, const image::LogicalHost& state) {
  for (const image::File& file : state.files()) {
    if (S_ISREG(file.mode()) && file.page_bytes() == 0 && file.unlinked()) carried_.insert(file.id());
  }
  TRY(send_changed_files(send, true));
  std::set<uint32_t> questions = open_questions(plan_, verdicts_, state);
  if (!questions.empty()) {
    wire::CarriedRequest wanted = TRY(ask());
    for (uint32_t id : wanted.files()) {
      if (!questions.contains(id))
        return error(ErrorKind::corrupt, "content is wanted of a file that was not asked about");
      carried_.insert(id);
      TRY(send_file(send, id));
    }
  }
  return send_trees(send);
}

Result<void> Carrier::send_changes(transport::Connection& connection, const image::LogicalHost& state) {
  auto ask = [&connection]() -> Result<wire::CarriedRequest> {
    transport::Frame frame = TRY(connection.receive());
    if (frame.type != FrameType::carried_request) {
      return error(ErrorKind::corrupt, "the destination does not say which files it needs");
    }
    return parse<wire::CarriedRequest>(frame);
  };
  return send_changes(sender_on(connection), ask, state);
}

// Whoever else has it open here keeps it. Nothing is noted: it would count as the job's copy whoever writes to it by a
// mapping, which leaves no trace in its times.
void Carrier::remove_from_pool(const image::File& file, const Owner& owner) const {
  if (file.unlinked() || !file.written()) return;
  size_t slash = file.path().rfind('/') + 1;
  std::string name = file.path().substr(slash);
  AsOwner as_owner(owner);
  auto directory = sys::open_without_links(file.path().substr(0, slash), O_PATH | O_DIRECTORY);
  if (!directory) return;
  auto status = sys::status_of_entry(directory->get(), name);
  bool same = status && status->st_dev == file.device() && status->st_ino == file.inode();
  if (same && status->st_uid == owner.uid) (void)sys::remove_entry(directory->get(), name);
}

void Carrier::leave(const worker::JobPlace& place) const {
  note_left_behind(place, left_behind_paths());
  Owner owner{place.uid(), place.gid(), {place.groups().begin(), place.groups().end()}};
  for (uint32_t id : of_pool_) remove_from_pool(table_.get(id), owner);
}

std::vector<std::string> Carrier::left_behind_paths() const {
  std::vector<std::string> paths;
  for (uint32_t id : carried_) {
    const image::File& file = table_.get(id);
    bool own_place = file.mount_point() == "/dev/shm" || (!scratch_.empty() && file.path().starts_with(scratch_ + "/"));
    if (file.written() && !file.unlinked() && !own_place) paths.push_back(file.path());
  }
  return paths;
}

Receiver::Receiver(Opener& opener, worker::JobPlace place) : opener_(opener), place_(std::move(place)) {
  if (place_.scratch_directory().empty()) return;
  std::error_code failed;
  for (auto it = fs::directory_iterator(place_.scratch_directory(), failed); !failed && it != fs::end(it);) {
    fs::path stale = it->path();
    it.increment(failed);
    std::error_code ignored;
    fs::remove_all(stale, ignored);
  }
}

Result<TreeReceiver*> Receiver::tree(bool shared_memory) {
  std::optional<TreeReceiver>& tree = shared_memory ? shared_memory_ : scratch_;
  if (tree) return &*tree;
  std::string path = shared_memory ? "/dev/shm" : place_.scratch_directory();
  if (path.empty()) return error(ErrorKind::corrupt, "scratch files of a job that has no scratch directory");
  Owner owner{place_.uid(), place_.gid(), {place_.groups().begin(), place_.groups().end()}};
  return &tree.emplace(TRY(opener_.open_directory(path)), std::move(owner));
}

TreeReceiver* Receiver::tree_of(uint32_t id) {
  for (std::optional<TreeReceiver>* tree : {&scratch_, &shared_memory_}) {
    if (*tree && (*tree)->owns(id)) return &**tree;
  }
  return nullptr;
}

Result<void> Receiver::take(const transport::Frame& frame) {
  Error unknown = error(ErrorKind::corrupt, "content of a file that was never told of");
  if (frame.type == FrameType::scratch_entry) {
    auto entry = TRY(parse<wire::ScratchEntry>(frame));
    return TRY(tree(entry.shared_memory()))->take(entry).within(entry.name());
  }
  if (frame.type == FrameType::carried_block) {
    auto block = TRY(parse<wire::CarriedBlock>(frame));
    if (block.file() < kFirstTreeId)
      return opener_.write(block.file(), block.offset(), std::as_bytes(std::span(block.data())));
    TreeReceiver* tree = tree_of(block.file());
    return tree == nullptr ? Result<void>(unknown) : tree->write(block);
  }
  if (frame.type == FrameType::carried_end) {
    auto end = TRY(parse<wire::CarriedEnd>(frame));
    if (end.file() < kFirstTreeId) return opener_.finish(end.file(), end.size(), end.mtime_ns());
    TreeReceiver* tree = tree_of(end.file());
    return tree == nullptr ? Result<void>(unknown) : tree->finish(end);
  }
  return error(ErrorKind::corrupt, "an unexpected frame from the source");
}

Result<void> Receiver::ask(transport::Connection& connection) const {
  if (!opener_.source_asks()) return {};
  wire::CarriedRequest request;
  for (uint32_t id : opener_.wanted()) request.add_files(id);
  TRY(connection.send(FrameType::carried_request, request));
  return connection.flush();
}

}  // namespace godwit::files
