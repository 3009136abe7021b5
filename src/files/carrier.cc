#include "files/carrier.h"

#include <fcntl.h>

#include <filesystem>

#include "sys/hash.h"

namespace godwit::files {

namespace {

namespace fs = std::filesystem;
using transport::FrameType;

constexpr uint32_t kFirstScratchId = 1u << 30;  // image.File ids are below

int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000LL + time.tv_nsec; }

template <class Message>
Result<Message> parse(const transport::Frame& frame) {
  Message message;
  if (!message.ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size()))) {
    return error(ErrorKind::corrupt, "a message about a carried file does not parse");
  }
  return message;
}

}  // namespace

Carrier::Carrier(FileTable& table, const image::LogicalHost& plan, const wire::OfferAnswer& answer, std::string scratch)
    : table_(table), scratch_(std::move(scratch)), shared_devices_(shared_devices(plan, answer)) {
  for (const wire::FileVerdict& verdict : answer.files()) {
    decided_.insert(verdict.file());
    if (verdict.origin() == image::File::CARRIED && S_ISREG(table_.get(verdict.file()).mode())) {
      carried_.insert(verdict.file());
    }
  }
}

// Sends the blocks that differ from what was sent before.
Result<void> Carrier::send_file(transport::Connection& connection, uint32_t id, int fd, Sent& sent) {
  struct stat status = TRY(sys::status_of(fd));
  std::vector<std::byte> buffer(kBlockBytes);
  auto size = static_cast<uint64_t>(status.st_size);
  sent.blocks.erase(sent.blocks.lower_bound(size), sent.blocks.end());  // cut off at the other side by CarriedEnd
  for (uint64_t offset = 0; offset < size; offset += kBlockBytes) {
    auto extent = TRY(sys::next_data(fd, offset));
    bool hole = !extent || extent->start >= offset + kBlockBytes;
    bool known = sent.blocks.contains(offset);
    if (hole && !known) {
      if (!extent) break;
      offset = extent->start / kBlockBytes * kBlockBytes - kBlockBytes;
      continue;
    }
    size_t length = std::min<uint64_t>(kBlockBytes, size - offset);
    auto block = std::span(buffer).first(length);
    TRY(sys::read_at(fd, offset, block));
    uint64_t hash = sys::quick_hash(block);
    if (known && sent.blocks[offset] == hash) continue;
    sent.blocks[offset] = hash;
    wire::CarriedBlock message;
    message.set_file(id);
    message.set_offset(offset);
    message.set_data(block.data(), length);
    TRY(connection.send(FrameType::carried_block, message));
  }
  sent.size = size;
  sent.mtime_ns = nanoseconds(status.st_mtim);
  sent.ctime_ns = nanoseconds(status.st_ctim);
  wire::CarriedEnd end;
  end.set_file(id);
  end.set_size(size);
  end.set_mtime_ns(sent.mtime_ns);
  return connection.send(FrameType::carried_end, end);
}

Result<void> Carrier::send_content(transport::Connection& connection) {
  for (uint32_t id : carried_) {
    TRY(send_file(connection, id, TRY(table_.readable_fd(id)), sent_[id]).within(table_.get(id).path()));
  }
  return send_scratch(connection);
}

Result<void> Carrier::send_changes(transport::Connection& connection, const image::LogicalHost& state) {
  for (const image::File& file : state.files()) {
    bool fresh = !decided_.contains(file.id()) && !shared_devices_.contains(file.device());
    bool nameless = file.unlinked() && !carried_.contains(file.id());
    bool carries = fresh && file.written();
    if (S_ISREG(file.mode()) && (carries || nameless)) carried_.insert(file.id());
  }
  for (uint32_t id : carried_) {
    int fd = TRY(table_.readable_fd(id));
    struct stat status = TRY(sys::status_of(fd));
    Sent& sent = sent_[id];
    bool unchanged = !sent.blocks.empty() && sent.size == static_cast<uint64_t>(status.st_size) &&
                     sent.mtime_ns == nanoseconds(status.st_mtim) && sent.ctime_ns == nanoseconds(status.st_ctim);
    // Writes through a mapping change the time only when the page is cleaned.
    if (unchanged && !table_.get(id).mapped_shared()) continue;
    TRY(send_file(connection, id, fd, sent));
  }
  return send_scratch(connection);
}

// The scratch directory: files that are not open travel too. What has gone since it was sent is taken back.
Result<void> Carrier::send_scratch(transport::Connection& connection) {
  if (scratch_.empty()) return {};
  std::set<std::string> present;
  std::error_code failed;
  for (auto it = fs::recursive_directory_iterator(scratch_, failed); !failed && it != fs::end(it); it.increment(failed)) {
    std::string name = it->path().string().substr(scratch_.size() + 1);
    struct stat status;
    if (::lstat(it->path().c_str(), &status) != 0) continue;  // it went meanwhile
    present.insert(name);
    bool is_file = S_ISREG(status.st_mode);
    if (!is_file && !S_ISDIR(status.st_mode) && !S_ISLNK(status.st_mode)) continue;
    auto known = scratch_sent_.find(name);
    bool unchanged = known != scratch_sent_.end() && known->second.mtime_ns == nanoseconds(status.st_mtim) &&
                     known->second.ctime_ns == nanoseconds(status.st_ctim);
    if (unchanged) continue;
    uint32_t id = scratch_ids_.emplace(name, kFirstScratchId + scratch_ids_.size()).first->second;
    wire::ScratchEntry entry;
    entry.set_id(id);
    entry.set_name(name);
    entry.set_mode(status.st_mode);
    entry.set_uid(status.st_uid);
    entry.set_gid(status.st_gid);
    if (S_ISLNK(status.st_mode)) entry.set_target(fs::read_symlink(it->path(), failed).string());
    TRY(connection.send(FrameType::scratch_entry, entry));
    Sent& sent = scratch_sent_[name];
    sent.mtime_ns = nanoseconds(status.st_mtim);
    sent.ctime_ns = nanoseconds(status.st_ctim);
    if (!is_file) continue;
    auto fd = sys::open_path(it->path(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fd) TRY(send_file(connection, id, fd->get(), sent));
  }
  for (auto it = scratch_sent_.begin(); it != scratch_sent_.end();) {
    if (present.contains(it->first)) {
      ++it;
      continue;
    }
    wire::ScratchEntry gone;
    gone.set_name(it->first);
    gone.set_removed(true);
    TRY(connection.send(FrameType::scratch_entry, gone));
    it = scratch_sent_.erase(it);
  }
  return {};
}

std::vector<std::string> Carrier::left_behind_paths() const {
  std::vector<std::string> paths;
  for (uint32_t id : carried_) {
    const image::File& file = table_.get(id);
    if (!file.unlinked() && file.filesystem() != "tmpfs") paths.push_back(file.path());
  }
  return paths;
}

Result<void> Receiver::take(const transport::Frame& frame) {
  if (frame.type == FrameType::scratch_entry) return take_scratch(TRY(parse<wire::ScratchEntry>(frame)));
  if (frame.type == FrameType::carried_block) {
    auto block = TRY(parse<wire::CarriedBlock>(frame));
    auto bytes = std::as_bytes(std::span(block.data()));
    if (block.file() < kFirstScratchId) return opener_.write(block.file(), block.offset(), bytes);
    auto file = scratch_.find(block.file());
    if (file == scratch_.end()) return error(ErrorKind::corrupt, "content of an unknown scratch file");
    return sys::write_at(file->second.get(), block.offset(), bytes);
  }
  if (frame.type == FrameType::carried_end) {
    auto end = TRY(parse<wire::CarriedEnd>(frame));
    if (end.file() < kFirstScratchId) return opener_.finish(end.file(), end.size(), end.mtime_ns());
    auto file = scratch_.find(end.file());
    if (file == scratch_.end()) return error(ErrorKind::corrupt, "end of an unknown scratch file");
    TRY(sys::set_size(file->second.get(), end.size()));
    return sys::set_modification_time(file->second.get(), end.mtime_ns());
  }
  return error(ErrorKind::corrupt, "an unexpected frame from the source");
}

// Only below the scratch directory, which is the owner's own and new: names may not lead out of it.
Result<void> Receiver::take_scratch(const wire::ScratchEntry& entry) {
  fs::path name = fs::path(entry.name()).lexically_normal();
  bool inside = !name.empty() && name.is_relative() && *name.begin() != "..";
  if (!inside || place_.scratch_directory().empty()) return error(ErrorKind::corrupt, "a scratch file outside its directory");
  fs::path path = fs::path(place_.scratch_directory()) / name;
  fs::path parent = path.parent_path();
  std::error_code failed;
  if (fs::weakly_canonical(parent, failed) != parent) return error(ErrorKind::corrupt, "a link in the way of a scratch file");
  if (entry.removed()) {
    fs::remove_all(path, failed);
    return {};
  }
  if (S_ISDIR(entry.mode())) {
    fs::create_directory(path, failed);
    (void)sys::set_owner(path, place_.uid() == 0 ? entry.uid() : place_.uid(), place_.uid() == 0 ? entry.gid() : place_.gid());
    return {};
  }
  if (S_ISLNK(entry.mode())) {
    fs::remove(path, failed);
    return sys::make_link(entry.target(), path);
  }
  UniqueFd fd = TRY(sys::open_path(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  TRY(sys::set_owner(path, place_.uid() == 0 ? entry.uid() : place_.uid(), place_.uid() == 0 ? entry.gid() : place_.gid()));
  TRY(sys::set_mode(fd.get(), entry.mode() & 0777));
  scratch_[entry.id()] = std::move(fd);
  return {};
}

}  // namespace godwit::files
