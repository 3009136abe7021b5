#include "files/opener.h"

#include <fcntl.h>

#include "sys/mount.h"

namespace godwit::files {

namespace {

// Root's rights given up for a while: the kernel decides what the job's owner may do.
class AsOwner {
 public:
  explicit AsOwner(const DestinationView& view) : changed_(view.uid != 0) {
    if (changed_) CHECK(sys::act_as(view.uid, view.gid, view.groups));
  }
  ~AsOwner() {
    if (changed_) CHECK(sys::act_as(0, 0, {}));
  }
  AsOwner(const AsOwner&) = delete;

 private:
  bool changed_;
};

}  // namespace

Opener::Opener(const wire::Offer& offer, const wire::OfferAnswer& answer, DestinationView view,
               std::string state_directory, const sys::MountNamespace& mounts)
    : mounts_(mounts), source_boot_id_(offer.boot_id()), view_(std::move(view)), state_directory_(std::move(state_directory)) {
  for (const image::File& file : offer.plan().files()) files_[file.id()] = file;
  for (const wire::FileVerdict& verdict : answer.files()) verdicts_[verdict.file()] = verdict;
}

Opener::~Opener() {
  auto visit = mounts_.visit();  // nothing can be taken back in a namespace that is gone
  for (const std::string& path : temporaries_) (void)sys::remove_path(path);  // published ones have lost that name
  for (const std::string& path : published_) (void)sys::remove_path(path);
}

image::File::Origin Opener::origin_of(uint32_t file) const {
  auto found = verdicts_.find(file);
  return found == verdicts_.end() ? image::File::UNDECIDED : found->second.origin();
}

Result<void> Opener::update(const image::LogicalHost& state) {
  for (const image::File& file : state.files()) {
    bool known = files_.contains(file.id());
    files_[file.id()] = file;
    if (known && verdicts_.contains(file.id())) {
      if (file.unlinked() && S_ISREG(file.mode()) && origin_of(file.id()) != image::File::CARRIED) {
        verdicts_[file.id()].set_origin(image::File::CARRIED);  // it lost its name since the plan
      }
      continue;
    }
    std::vector<worker::Refusal> refusals;
    verdicts_[file.id()] = decide_one(file, source_boot_id_, view_, refusals);
    if (!refusals.empty()) return error(ErrorKind::unsupported, refusals.front().what());
  }
  return {};
}

Result<void> Opener::make_parents(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    std::string directory = path.substr(0, slash);
    if (sys::status_of(directory)) continue;
    TRY(sys::make_directory(directory, 0755));
  }
  return {};
}

// Directories and FIFOs that the destination lacks.
Result<void> Opener::make_special(const image::File& file) {
  auto visit = TRY(mounts_.visit());
  if (sys::status_of(file.path())) return {};
  AsOwner as_owner(view_);
  TRY(make_parents(file.path()));
  unsigned mode = file.mode() & 0777;
  TRY(S_ISDIR(file.mode()) ? sys::make_directory(file.path(), mode) : sys::make_fifo(file.path(), mode));
  if (view_.uid == 0) TRY(sys::set_owner(file.path(), file.uid(), file.gid()));
  return {};
}

Result<UniqueFd> Opener::make_temporary(const image::File& file, Carried& into) {
  auto visit = TRY(mounts_.visit());
  std::string directory = file.path().substr(0, file.path().rfind('/') + 1);
  auto here = sys::status_of(file.path());
  bool somebody_elses = here && !file.written() && !view_.left_behind.is_former_copy(file.path(), *here, view_.job);
  into.hidden = somebody_elses && !file.unlinked();
  unsigned mode = file.mode() & 0777;
  if (into.hidden) {
    directory = state_directory_ + "/";
    into.path = file.path();
    into.temporary = directory + "file-" + std::to_string(file.id());
    temporaries_.push_back(into.temporary);
    UniqueFd fd = TRY(sys::open_path(into.temporary, O_RDWR | O_CREAT | O_TRUNC, mode));
    TRY(sys::set_owner(into.temporary, file.uid(), file.gid()));
    return fd;
  }
  AsOwner as_owner(view_);
  if (file.unlinked()) {
    std::string place = sys::status_of(directory) ? directory : "/tmp";
    return sys::open_path(place, O_TMPFILE | O_RDWR, mode);
  }
  TRY(make_parents(file.path()));
  into.path = file.path();
  into.temporary = directory + ".godwit-" + view_.job + "-" + std::to_string(file.id());
  temporaries_.push_back(into.temporary);
  (void)sys::remove_path(into.temporary);  // of a former attempt
  UniqueFd fd = TRY(sys::open_path(into.temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  TRY(sys::set_mode(fd.get(), mode));
  if (view_.uid == 0) TRY(sys::set_owner(into.temporary, file.uid(), file.gid()));
  return fd;
}

Result<Opener::Carried*> Opener::carried(uint32_t id) {
  auto known = carried_.find(id);
  if (known != carried_.end()) return &known->second;
  auto file = files_.find(id);
  bool expected = file != files_.end() && S_ISREG(file->second.mode()) && origin_of(id) == image::File::CARRIED;
  if (!expected) return error(ErrorKind::corrupt, "content of a file that is not carried");
  Carried made;
  made.fd = TRY(make_temporary(file->second, made).within("carrying " + file->second.path()));
  return &carried_.emplace(id, std::move(made)).first->second;
}

Result<void> Opener::write(uint32_t file, uint64_t offset, std::span<const std::byte> bytes) {
  return sys::write_at(TRY(carried(file))->fd.get(), offset, bytes);
}

Result<void> Opener::finish(uint32_t file, uint64_t size, int64_t mtime_ns) {
  Carried* target = TRY(carried(file));
  TRY(sys::set_size(target->fd.get(), size));
  return sys::set_modification_time(target->fd.get(), mtime_ns);
}

Result<UniqueFd> Opener::open(uint32_t id, int flags) {
  flags &= ~(O_CREAT | O_EXCL | O_TRUNC | O_TMPFILE | O_DIRECTORY) | (flags & O_DIRECTORY & ~O_TMPFILE);
  auto file = files_.find(id);
  if (file == files_.end()) return error(ErrorKind::corrupt, "a file that was never told of");
  const image::File& wanted = file->second;
  if (S_ISREG(wanted.mode()) && origin_of(id) == image::File::CARRIED) {
    return sys::reopen(TRY(carried(id))->fd.get(), flags);
  }
  if (origin_of(id) == image::File::CARRIED) TRY(make_special(wanted));
  auto visit = TRY(mounts_.visit());
  UniqueFd fd = TRY(sys::open_path(wanted.path(), flags | O_NOCTTY));
  struct stat status = TRY(sys::status_of(fd.get()));
  if ((status.st_mode & S_IFMT) != (wanted.mode() & S_IFMT)) {
    return error(ErrorKind::conflict, wanted.path() + " has become something else on the destination");
  }
  return fd;
}

Result<void> Opener::publish() {
  auto visit = TRY(mounts_.visit());
  for (auto& [id, file] : carried_) {
    if (file.temporary.empty()) continue;
    if (file.hidden) {
      TRY(sys::bind_mount(file.temporary, file.path));
      continue;
    }
    AsOwner as_owner(view_);
    bool there = static_cast<bool>(sys::status_of(file.path));
    TRY(sys::rename_path(file.temporary, file.path));
    if (!there) published_.push_back(file.path);
  }
  return {};
}

}  // namespace godwit::files
