#include "files/tree_transfer.h"

#include <fcntl.h>

#include <filesystem>

#include "sys/directory_entry.h"
#include "sys/file.h"

namespace godwit::files {

namespace fs = std::filesystem;
using transport::FrameType;

Result<void> TreeSender::send(const SendFrame& send, const Elsewhere& elsewhere) {
  if (!root_.valid()) {
    auto root = sys::open_path(directory_, O_RDONLY | O_DIRECTORY);
    if (!root) return {};
    root_ = std::move(*root);
  }
  if (!TRY(watch_.changed()) && whole_) return {};
  std::set<std::string> present;
  whole_ = TRY(walk(send, elsewhere, present));
  if (!whole_) return {};  // a directory went meanwhile: what was not seen may be there
  for (auto entry = known_.rbegin(); entry != known_.rend(); ++entry) {  // what lies in a directory before it
    if (present.contains(entry->first)) continue;
    wire::ScratchEntry gone;
    gone.set_name(entry->first);
    gone.set_removed(true);
    gone.set_shared_memory(shared_memory_);
    TRY(send(FrameType::scratch_entry, gone));
  }
  std::erase_if(known_, [&](const auto& entry) { return !present.contains(entry.first); });
  return {};
}

Result<bool> TreeSender::walk(const SendFrame& send, const Elsewhere& elsewhere, std::set<std::string>& present) {
  std::error_code failed;
  watch_.add(directory_);  // before it is read, so that no change is missed
  for (auto it = fs::recursive_directory_iterator(directory_, failed); !failed && it != fs::end(it);
       it.increment(failed)) {
    if (it->is_directory(failed) && !it->is_symlink(failed)) watch_.add(it->path());
    std::string name = it->path().string().substr(directory_.size() + 1);
    present.insert(name);
    TRY(send_entry(send, elsewhere, name));
  }
  return !failed;
}

Result<void> TreeSender::send_entry(const SendFrame& send, const Elsewhere& elsewhere, const std::string& name) {
  auto found = sys::open_beneath(root_.get(), name, O_PATH | O_NOFOLLOW);
  if (!found) return {};  // it went meanwhile: the watch tells, and it is looked at again
  struct stat status = TRY(sys::status_of(found->get()));
  bool is_file = S_ISREG(status.st_mode);
  bool travels = is_file || S_ISDIR(status.st_mode) || S_ISLNK(status.st_mode) || S_ISFIFO(status.st_mode);
  if (!travels || (is_file && elsewhere(status.st_dev, status.st_ino))) return {};
  Known& known = known_[name];
  if (known.id == 0) known.id = next_id_++;
  bool same_kind = known.mode == status.st_mode;
  if (same_kind && (is_file ? is_unchanged(known.content, status) : !S_ISLNK(status.st_mode))) return {};
  known.mode = status.st_mode;
  wire::ScratchEntry entry;
  entry.set_id(known.id);
  entry.set_name(name);
  entry.set_mode(status.st_mode);
  entry.set_uid(status.st_uid);
  entry.set_gid(status.st_gid);
  entry.set_shared_memory(shared_memory_);
  std::error_code failed;
  if (S_ISLNK(status.st_mode)) entry.set_target(fs::read_symlink(directory_ + "/" + name, failed).string());
  TRY(send(FrameType::scratch_entry, entry));
  if (!is_file) return {};
  UniqueFd content = TRY(sys::reopen(found->get(), O_RDONLY | O_NONBLOCK));
  return send_blocks(send, known.id, content.get(), known.content);
}

// What exists already may be unreadable for its owner; ours it must be.
Result<UniqueFd> TreeReceiver::open_regular(int parent, const std::string& name) {
  {
    AsOwner as_owner(owner_);
    auto made = sys::open_beneath(parent, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (made || made.error().kind != ErrorKind::conflict) return made;
  }
  UniqueFd there = TRY(sys::open_beneath(parent, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW));
  struct stat status = TRY(sys::status_of(there.get()));
  bool ours = S_ISREG(status.st_mode) && status.st_nlink == 1 && (owner_.uid == 0 || status.st_uid == owner_.uid);
  if (!ours) return error(ErrorKind::conflict, name + " in the job's own directory is not the job's");
  return there;
}

Result<void> TreeReceiver::give(int fd, const wire::ScratchEntry& entry) {
  if (owner_.uid == 0) (void)sys::set_owner(fd, entry.uid(),
                                            entry.gid());  // without root's rights it stays ours
  return sys::set_mode(fd, entry.mode() & (0777 | S_ISVTX));
}

Result<void> TreeReceiver::take(const wire::ScratchEntry& entry) {
  fs::path path = entry.name();
  bool plain = !path.empty() && path.is_relative() && path == path.lexically_normal() && *path.begin() != ".." &&
               *path.begin() != "." && path.has_filename() && entry.name().find('\0') == std::string::npos;
  if (!plain) return error(ErrorKind::corrupt, "a name that leads out of the job's own directory");
  std::string name = path.filename();
  current_.reset();
  std::string above = path.has_parent_path() ? path.parent_path().string() : ".";
  UniqueFd parent = TRY(sys::open_beneath(root_.get(), above, O_RDONLY | O_DIRECTORY));
  if (entry.removed()) {
    (void)sys::remove_entry(parent.get(),
                            name);  // it may have been replaced already
    return {};
  }
  auto there = sys::status_of_entry(parent.get(), name);
  bool other_kind = there && (there->st_mode & S_IFMT) != (entry.mode() & S_IFMT);
  if (other_kind || (there && S_ISLNK(entry.mode()))) TRY(sys::remove_entry(parent.get(), name));
  bool missing = !there || other_kind;
  if (S_ISDIR(entry.mode())) {
    AsOwner as_owner(owner_);
    if (missing) TRY(sys::make_directory_in(parent.get(), name, 0700));
    UniqueFd made = TRY(sys::open_beneath(parent.get(), name, O_RDONLY | O_DIRECTORY));
    return give(made.get(), entry);
  }
  if (S_ISLNK(entry.mode())) {
    AsOwner as_owner(owner_);
    return sys::make_link_in(parent.get(), name, entry.target());
  }
  if (S_ISFIFO(entry.mode())) {
    AsOwner as_owner(owner_);
    return missing ? sys::make_fifo_in(parent.get(), name, entry.mode() & 0777) : Result<void>();
  }
  if (!S_ISREG(entry.mode())) return error(ErrorKind::corrupt, "an entry of a kind that does not travel");
  UniqueFd file = TRY(open_regular(parent.get(), name));
  TRY(give(file.get(), entry));
  current_ = std::move(file);
  current_id_ = entry.id();
  return {};
}

Result<void> TreeReceiver::write(const wire::CarriedBlock& block) {
  return sys::write_at(current_.get(), block.offset(), std::as_bytes(std::span(block.data())));
}

Result<void> TreeReceiver::finish(const wire::CarriedEnd& end) {
  TRY(sys::set_size(current_.get(), end.size()));
  TRY(sys::set_modification_time(current_.get(), end.mtime_ns()));
  current_.reset();
  return {};
}

}  // namespace godwit::files
