#include "files/opener.h"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>

#include "sys/directory_entry.h"
#include "sys/huge_page_pool.h"
#include "sys/mount.h"

namespace godwit::files {

namespace {

std::string temporary_name(const std::string& job, uint32_t file) {
  return ".godwit-" + job + "-" + std::to_string(file);
}

bool is_of_pool(const image::File& file) { return file.page_bytes() != 0; }

// What was decided about one of them holds for the other.
bool is_same_file(const image::File& one, const image::File& other) {
  return one.device() == other.device() && one.inode() == other.inode() && one.page_bytes() == other.page_bytes() &&
         (one.mode() & S_IFMT) == (other.mode() & S_IFMT) && one.special_device() == other.special_device();
}

std::string parent_directory(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

// The nearest first.
std::vector<std::string> directories_above(std::string path) {
  std::vector<std::string> directories;
  for (; !path.empty(); path.pop_back()) directories.push_back(path = parent_directory(path));
  return directories;
}

}  // namespace

Opener::Opener(const wire::Offer& offer, const wire::OfferAnswer& answer, DestinationView view,
               std::string state_directory, const sys::MountNamespace& mounts)
    : mounts_(mounts),
      source_boot_id_(offer.boot_id()),
      view_(std::move(view)),
      state_directory_(std::move(state_directory)),
      made_(view_.owner) {
  for (const image::File& file : offer.plan().files()) files_[file.id()] = file;
  plan_ = files_;
  for (const wire::FileVerdict& verdict : answer.files()) verdicts_[verdict.file()] = verdict;
  answered_ = verdicts_;
}

Opener::~Opener() {
  if (committed_) return;
  for (auto& [id, file] : carried_) {
    if (!file.hidden.empty()) (void)sys::remove_path(file.hidden);
  }
}

void Opener::commit() {
  committed_ = true;
  for (auto& [id, file] : carried_) {
    if (file.placement) file.placement->keep();
  }
  made_.keep();
}

image::File::Origin Opener::origin_of(uint32_t file) const {
  auto found = verdicts_.find(file);
  return found == verdicts_.end() ? image::File::UNDECIDED : found->second.origin();
}

// A network's file system may have looked at it too early then.
bool Opener::may_be_early(uint32_t file) const {
  auto found = files_.find(file);
  if (found == files_.end() || found->second.written()) return false;
  bool one_kernel = source_boot_id_ == view_.boot_id;
  return origin_of(file) == image::File::LOCAL_EQUIVALENT || (one_kernel && origin_of(file) == image::File::SHARED);
}

uint32_t Opener::decisions(uint32_t file) const {
  auto found = decisions_.find(file);
  return found == decisions_.end() ? 0 : found->second;
}

bool Opener::has_all() const {
  auto may_lack = [this](const auto& entry) {
    const image::File& file = entry.second;
    bool nameless = S_ISREG(file.mode()) && file.unlinked();
    if (is_of_pool(file)) return false;  // its content is none of ours
    return nameless || origin_of(file.id()) == image::File::CARRIED || file.path().starts_with("/dev/shm/");
  };
  return !asked_ && std::ranges::none_of(files_, may_lack);
}

Result<UniqueFd> Opener::open_directory(const std::string& path) const {
  auto visit = TRY(mounts_.visit());
  return sys::open_without_links(view_.root + path, O_RDONLY | O_DIRECTORY);
}

Result<wire::FileVerdict> Opener::decision_on(const image::File& file) const {
  std::vector<worker::Refusal> refusals;
  PoolUse none;  // files on hugetlbfs are decided upon once
  wire::FileVerdict verdict = decide_one(file, source_boot_id_, view_, refusals, none);
  if (refusals.empty()) return verdict;
  return error(ErrorKind::unsupported, "since it was looked at the program has come to use " + refusals.front().what());
}

Result<void> Opener::decide_again(const image::File& file) {
  wire::FileVerdict verdict = TRY(decision_on(file));
  wire::FileVerdict& known_verdict = verdicts_[file.id()];
  if (known_verdict.SerializeAsString() != verdict.SerializeAsString()) ++decisions_[file.id()];
  known_verdict = std::move(verdict);
  auto known = carried_.find(file.id());
  bool moves = known != carried_.end() && known->second.placement && origin_of(file.id()) == image::File::CARRIED;
  if (!moves) return {};
  auto visit = TRY(mounts_.visit());
  return known->second.placement->retarget(here(file), file, made_);
}

// It had one when it was planned.
Result<void> Opener::lose_name(const image::File& file) {
  if (held_.contains(file.id())) return {};
  auto known = carried_.find(file.id());
  wire::FileVerdict verdict;
  if (known == carried_.end()) {
    verdict = TRY(decision_on(file));
  } else {  // it is here already: nothing on this node has a say in it
    verdict.set_file(file.id());
    verdict.set_origin(image::File::CARRIED);
    verdict.set_why("it has no name any more");
    known->second.placement.reset();
  }
  ++decisions_[file.id()];
  verdicts_[file.id()] = std::move(verdict);
  return {};
}

// Both nodes have a say in such a file's name, and its content travels with memory, by what was decided first: what
// happens to names meanwhile is not followed.
Result<void> Opener::check_pool_file(const image::File& file) const {
  if (held_.contains(file.id())) return {};  // the very same, which others have too
  auto planned = plan_.find(file.id());
  bool as_planned =
      planned != plan_.end() && planned->second.path() == file.path() && planned->second.unlinked() == file.unlinked();
  if (as_planned) return {};
  return error(ErrorKind::retry,
               file.path() + ", on hugetlbfs, has been made, renamed or removed meanwhile; move the job again");
}

Result<void> Opener::update(const image::LogicalHost& state) {
  std::set<uint32_t> questions = open_questions(plan_, answered_, state);
  asked_ = !questions.empty();
  wanted_.clear();
  for (const image::File& file : state.files()) {
    auto before = files_.find(file.id());
    if (before != files_.end() && !is_same_file(before->second, file)) {
      return error(ErrorKind::corrupt, file.path() + " is another file than it was said to be");
    }
    if (is_of_pool(file)) TRY(check_pool_file(file));
    bool decided = before != files_.end() && verdicts_.contains(file.id());
    bool same_name = decided && before->second.path() == file.path();
    bool lost_name = decided && file.unlinked() && !before->second.unlinked();
    bool renamed = decided && !same_name && !file.unlinked() && origin_of(file.id()) == image::File::CARRIED;
    files_[file.id()] = file;
    if (lost_name) {
      TRY(lose_name(file));
    } else if (!decided || renamed || questions.contains(file.id())) {
      TRY(decide_again(file));
    }
    bool wanted = questions.contains(file.id()) && origin_of(file.id()) == image::File::CARRIED;
    if (wanted) wanted_.insert(file.id());
  }
  return {};
}

// Visible to the job alone, over the node's own file; opened through that name,
// so that it is the name the kernel tells.
Result<Opener::Carried> Opener::make_hidden(const image::File& file) {
  Carried made;
  std::string directory = state_directory_ + "/files";
  std::error_code ignored;
  std::filesystem::create_directories(directory, ignored);
  made.hidden = directory + "/" + std::to_string(file.id());
  (void)sys::remove_path(made.hidden);
  made.fd = TRY(sys::open_path(made.hidden, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  bool by_root = view_.owner.uid == 0;
  TRY(sys::set_owner(made.fd.get(), by_root ? file.uid() : view_.owner.uid, by_root ? file.gid() : view_.owner.gid));
  TRY(sys::set_mode(made.fd.get(), file.mode() & 0777));
  auto visit = TRY(mounts_.visit());
  TRY(sys::bind_mount(made.hidden, here(file)));
  // Programs that give rights must not meet libraries and settings that came
  // from elsewhere.
  if (!by_root) TRY(sys::ignore_set_id_bits());
  return made;
}

Result<UniqueFd> Opener::make_nameless(const image::File& file) {
  auto visit = TRY(mounts_.visit());
  AsOwner as_owner(view_.owner);
  unsigned mode = file.mode() & 0777;
  std::vector<std::string> places{parent_directory(here(file)), view_.root + "/tmp", view_.root + "/var/tmp"};
  if (is_of_pool(file)) places = directories_above(here(file));
  for (const std::string& directory : places) {
    auto fd = sys::open_path(directory, O_TMPFILE | O_RDWR, mode);
    if (fd && sys::pool_page_bytes(fd->get()) == file.page_bytes()) return fd;
  }
  if (is_of_pool(file)) return error(ErrorKind::denied, "the job's owner may not make a file where it was");
  // A file system without nameless files.
  auto placement = TRY(
      Placement::make(view_.root + "/tmp/unlinked", temporary_name(view_.job, file.id()), file, view_.owner, made_));
  return placement.take_fd();
}

Result<Opener::Carried> Opener::make_carried(const image::File& file) {
  if (verdicts_.at(file.id()).hidden()) return make_hidden(file);
  Carried made;
  if (file.unlinked()) {
    made.fd = TRY(make_nameless(file));
    return made;
  }
  auto visit = TRY(mounts_.visit());
  made.placement.emplace(
      TRY(Placement::make(here(file), temporary_name(view_.job, file.id()), file, view_.owner, made_)));
  made.fd = made.placement->take_fd();
  return made;
}

// The skeleton's processes inherit what is open when they are made.
Result<void> Opener::make_read_only(Carried& file) {
  file.fd = TRY(sys::reopen(file.fd.get(), O_RDONLY));
  file.writable = false;
  return {};
}

Result<Opener::Carried*> Opener::carried(uint32_t id) {
  auto known = carried_.find(id);
  if (known != carried_.end()) return &known->second;
  auto file = files_.find(id);
  bool expected = file != files_.end() && S_ISREG(file->second.mode()) && origin_of(id) == image::File::CARRIED;
  if (!expected) return error(ErrorKind::corrupt, "content of a file that is not carried");
  Carried made = TRY(make_carried(file->second).within("carrying " + file->second.path()));
  if (is_of_pool(file->second)) {
    made.finished = true;  // of what is told of it here
  } else if (!file->second.written()) {
    TRY(make_read_only(made));
  }
  return &carried_.emplace(id, std::move(made)).first->second;
}

Result<void> Opener::write(uint32_t file, uint64_t offset, std::span<const std::byte> bytes) {
  return sys::write_at(TRY(content_of(file))->fd.get(), offset, bytes);
}

Result<Opener::Carried*> Opener::content_of(uint32_t file) {
  auto known = files_.find(file);
  if (known != files_.end() && is_of_pool(known->second)) {
    return error(ErrorKind::corrupt, "content of a file on hugetlbfs as of an ordinary one");
  }
  Carried* target = TRY(carried(file));
  if (!target->writable) target->fd = TRY(sys::reopen(target->fd.get(), O_RDWR));
  target->writable = true;
  return target;
}

Result<void> Opener::finish(uint32_t file, uint64_t size, int64_t mtime_ns) {
  Carried* target = TRY(content_of(file));
  TRY(sys::set_size(target->fd.get(), size));
  TRY(sys::set_modification_time(target->fd.get(), mtime_ns));
  target->finished = true;
  return files_.at(file).written() ? Result<void>() : make_read_only(*target);
}

// Carried directories and FIFOs; what the destination has already serves.
Result<UniqueFd> Opener::find_special(const image::File& file) {
  auto known = specials_.find(file.id());
  if (known == specials_.end()) {
    auto visit = TRY(mounts_.visit());
    UniqueFd made;
    if (file.unlinked()) {
      MadeEntries passing(view_.owner);  // its name goes at once
      made = TRY(passing.make(view_.root + "/tmp/" + temporary_name(view_.job, file.id()), file));
    } else {
      made = TRY(made_.make(here(file), file));
    }
    known = specials_.emplace(file.id(), std::move(made)).first;
  }
  return sys::duplicate(known->second.get());
}

// What the file is on this node, O_PATH, if it still is what was decided upon.
Result<UniqueFd> Opener::find(const image::File& file, const wire::FileVerdict& verdict) {
  if (verdict.origin() == image::File::CARRIED && !verdict.hidden()) return find_special(file);
  UniqueFd fd;
  {
    auto visit = TRY(mounts_.visit());
    bool content_was_shown = S_ISREG(file.mode()) && verdict.origin() != image::File::SHARED;
    std::optional<AsOwner> as_owner;
    if (!content_was_shown) as_owner.emplace(view_.owner);
    fd = TRY(sys::open_path(here(file), O_PATH));
  }
  struct stat status = TRY(sys::status_of(fd.get()));
  bool same_type = (status.st_mode & S_IFMT) == (file.mode() & S_IFMT);
  bool is_device = S_ISCHR(file.mode()) || S_ISBLK(file.mode());
  bool private_device = is_device && verdict.origin() == image::File::JOB_PRIVATE;
  bool same_device = !is_device || private_device || status.st_rdev == file.special_device();
  bool same = true;
  if (verdict.has_here() && verdict.origin() == image::File::LOCAL_EQUIVALENT) same = is_still(verdict.here(), status);
  if (verdict.has_here() && verdict.origin() == image::File::SHARED) {
    bool replaced = verdict.here().device() != status.st_dev || verdict.here().inode() != status.st_ino;
    // By the program itself, maybe: it has another then, which the next plan tells of.
    if (replaced) return error(ErrorKind::retry, file.path() + " has been replaced meanwhile; move the job again");
  }
  if (verdict.hidden()) {  // mounted there, unless it was renamed since: then it is the node's own that was found
    struct stat ours = TRY(sys::status_of(carried_.at(file.id()).fd.get()));
    same = ours.st_dev == status.st_dev && ours.st_ino == status.st_ino;
  }
  if (!same_type || !same_device || !same) {
    return error(ErrorKind::conflict, file.path() + " has become something else on the destination");
  }
  return fd;
}

Result<UniqueFd> Opener::open(uint32_t id, int flags) {
  constexpr int kKept = O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECT | O_SYNC | O_NOATIME | O_ASYNC | O_PATH;
  flags &= kKept;
  auto found = files_.find(id);
  auto verdict = verdicts_.find(id);
  if (found == files_.end() || verdict == verdicts_.end()) {
    return error(ErrorKind::corrupt, "a file that was never told of");
  }
  const image::File& file = found->second;
  if (origin_of(id) == image::File::UNDECIDED) {
    return error(ErrorKind::corrupt, "it was never decided where " + file.path() + " comes from");
  }
  bool content_here = S_ISREG(file.mode()) && origin_of(id) == image::File::CARRIED;
  if (content_here && !verdict->second.hidden()) return sys::reopen(TRY(carried(id))->fd.get(), flags);
  if (content_here) TRY(carried(id));  // mounted over its path
  auto held = held_.find(id);
  UniqueFd fd = held != held_.end() ? TRY(sys::duplicate(held->second.get())) : TRY(find(file, verdict->second));
  if (held == held_.end() && is_of_pool(file) && is_shared(id)) held_[id] = TRY(sys::duplicate(fd.get()));
  if ((flags & O_PATH) != 0) return fd;
  bool equal = S_ISREG(file.mode()) && (content_here || origin_of(id) == image::File::LOCAL_EQUIVALENT);
  if (!equal) {
    AsOwner as_owner(view_.owner);
    return sys::reopen(fd.get(), flags | O_NOCTTY);
  }
  if ((flags & O_ACCMODE) != O_RDONLY) {
    return error(ErrorKind::corrupt, file.path() + " is written although it was said not to be");
  }
  return sys::reopen(fd.get(), flags);
}

Result<void> Opener::publish() {
  auto visit = TRY(mounts_.visit());
  for (auto& [id, file] : carried_) {
    const std::string& path = files_.at(id).path();
    if (!file.finished) return error(ErrorKind::corrupt, "the content of " + path + " did not arrive");
    if (is_of_pool(files_.at(id))) TRY(sys::set_modification_time(file.fd.get(), files_.at(id).mtime_ns()));
    if (!file.placement) continue;
    const wire::FileVerdict& verdict = verdicts_.at(id);
    struct stat status = TRY(sys::status_of(file.fd.get()));
    bool own_place = path.starts_with("/dev/shm/") || (!view_.scratch.empty() && path.starts_with(view_.scratch + "/"));
    // Before the name: whoever comes after our sudden end knows whose this is.
    bool noted = !own_place && !is_of_pool(files_.at(id));
    if (noted) TRY(view_.left_behind.note(path, status, view_.job));
    TRY(file.placement->publish(verdict.has_here() ? &verdict.here() : nullptr, own_place).within(path));
  }
  return {};
}

}  // namespace godwit::files
