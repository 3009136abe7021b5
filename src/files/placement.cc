#include "files/placement.h"

#include <fcntl.h>

#include <algorithm>

#include "files/offer.h"
#include "sys/directory_entry.h"
#include "sys/file.h"

namespace godwit::files {

namespace {

constexpr unsigned kModeBits = 0777;
constexpr int kDirectory = O_RDONLY | O_DIRECTORY;

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Root's files get the owner they had; an owner's own are the owner's.
Result<void> give_away(const Owner& owner, int fd, uint32_t uid, uint32_t gid) {
  if (owner.uid != 0) return {};
  auto given = sys::set_owner(fd, uid, gid);
  bool may_not = !given && given.error().kind == ErrorKind::denied;  // not root ourselves
  return may_not ? Result<void>() : given;
}

}  // namespace

MadeEntries::~MadeEntries() {
  AsOwner as_owner(owner_);
  for (auto entry = made_.rbegin(); entry != made_.rend(); ++entry) {
    (void)sys::remove_entry(entry->first.get(), entry->second);
  }
}

Result<UniqueFd> MadeEntries::make_directory(UniqueFd& above, const std::string& name,
                                             const image::ParentDirectory& as) {
  TRY(sys::make_directory_in(above.get(), name, 0700));
  UniqueFd made = TRY(sys::open_beneath(above.get(), name, kDirectory));
  made_.emplace_back(std::move(above), name);
  TRY(give_away(owner_, made.get(), as.uid(), as.gid()));
  TRY(sys::set_mode(made.get(), as.mode() & (kModeBits | S_ISVTX)));
  return made;
}

Result<UniqueFd> MadeEntries::parent_of(const std::string& path, const image::File& file) {
  AsOwner as_owner(owner_);
  std::string parent = path.substr(0, path.rfind('/') + 1);
  auto there = sys::open_without_links(parent, O_PATH | O_DIRECTORY);
  if (there || there.error().kind != ErrorKind::gone) return there;
  // The parents in the file's description belong to its last components,
  // whatever root the path begins with.
  size_t components = static_cast<size_t>(std::count(parent.begin() + 1, parent.end(), '/'));
  UniqueFd directory = TRY(sys::open_without_links("/", O_PATH | O_DIRECTORY));
  size_t index = 0;
  for (size_t begin = 1; begin < parent.size(); ++index) {
    size_t end = parent.find('/', begin);
    std::string name = parent.substr(begin, end - begin);
    begin = end + 1;
    auto next = sys::open_beneath(directory.get(), name, O_PATH | O_DIRECTORY);
    if (next) {
      directory = std::move(*next);
      continue;
    }
    if (next.error().kind != ErrorKind::gone) return next;
    auto known = static_cast<size_t>(file.parents_size());
    size_t behind = components - index;  // 1: the one the file lies in
    image::ParentDirectory as;
    as.set_mode(0755);
    if (behind <= known) as = file.parents(static_cast<int>(known - behind));
    directory = TRY(make_directory(directory, name, as));
  }
  return directory;
}

Result<UniqueFd> MadeEntries::make(const std::string& path, const image::File& file) {
  UniqueFd parent = TRY(parent_of(path, file));
  std::string name = name_of(path);
  AsOwner as_owner(owner_);
  auto there = sys::open_beneath(parent.get(), name, O_PATH);
  if (there || there.error().kind != ErrorKind::gone) return there;
  if (S_ISDIR(file.mode())) {
    image::ParentDirectory as;
    as.set_mode(file.mode());
    as.set_uid(file.uid());
    as.set_gid(file.gid());
    return make_directory(parent, name, as);
  }
  TRY(sys::make_fifo_in(parent.get(), name, file.mode() & kModeBits));
  UniqueFd made = TRY(sys::open_beneath(parent.get(), name, O_PATH));
  made_.emplace_back(std::move(parent), name);
  return made;
}

Placement::Placement(const Owner& owner, UniqueFd directory, std::string temporary, UniqueFd target, std::string name)
    : owner_(&owner),
      directory_(std::move(directory)),
      temporary_(std::move(temporary)),
      target_(std::move(target)),
      name_(std::move(name)) {}

Placement::Placement(Placement&& other) noexcept
    : owner_(other.owner_),
      directory_(std::move(other.directory_)),
      temporary_(std::move(other.temporary_)),
      target_(std::move(other.target_)),
      name_(std::move(other.name_)),
      fd_(std::move(other.fd_)),
      state_(std::exchange(other.state_, State::done)) {}

Result<Placement> Placement::make(const std::string& path, const std::string& temporary, const image::File& file,
                                  const Owner& owner, MadeEntries& made) {
  UniqueFd directory = TRY(made.parent_of(path, file));
  UniqueFd target = TRY(sys::duplicate(directory.get()));
  AsOwner as_owner(owner);
  (void)sys::remove_entry(directory.get(), temporary);  // of a former attempt
  unsigned mode = file.mode() & kModeBits;
  UniqueFd fd = TRY(sys::open_beneath(directory.get(), temporary, O_RDWR | O_CREAT | O_EXCL, mode));
  Placement placement(owner, std::move(directory), temporary, std::move(target), name_of(path));
  TRY(give_away(owner, fd.get(), file.uid(), file.gid()));
  TRY(sys::set_mode(fd.get(), mode));
  placement.fd_ = std::move(fd);
  return placement;
}

Result<void> Placement::retarget(const std::string& path, const image::File& file, MadeEntries& made) {
  target_ = TRY(made.parent_of(path, file));
  name_ = name_of(path);
  return {};
}

Result<void> Placement::publish(const wire::FileVerdict::Here* found, bool own_place) {
  AsOwner as_owner(*owner_);
  auto there = sys::status_of_entry(target_.get(), name_);
  if (!there && there.error().kind != ErrorKind::gone) return std::unexpected(there.error());
  bool as_expected = !there || own_place || (found != nullptr && is_still(*found, *there));
  if (!as_expected) return error(ErrorKind::conflict, name_ + " was changed on the destination meanwhile");
  sys::Entry from{directory_.get(), temporary_};
  sys::Entry to{target_.get(), name_};
  if (there) {
    TRY(sys::exchange(from, to));
    state_ = State::exchanged;
  } else {
    TRY(sys::rename_to_new(from, to));
    state_ = State::created;
  }
  return {};
}

void Placement::keep() {
  if (state_ == State::exchanged) {
    AsOwner as_owner(*owner_);
    (void)sys::remove_entry(directory_.get(),
                            temporary_);  // the former copy; what stays of it is only a hidden file
  }
  state_ = State::done;
}

void Placement::take_back() {
  State state = std::exchange(state_, State::done);
  if (state == State::done) return;
  AsOwner as_owner(*owner_);
  sys::Entry temporary{directory_.get(), temporary_};
  sys::Entry target{target_.get(), name_};
  if (state == State::created) (void)sys::remove_entry(target_.get(), name_);
  bool swapped_back = state == State::exchanged ? static_cast<bool>(sys::exchange(temporary, target)) : true;
  if (state != State::created && swapped_back) (void)sys::remove_entry(directory_.get(), temporary_);
}

}  // namespace godwit::files
