#include "files/offer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <filesystem>

#include "files/shared_file.h"
#include "sys/directory_entry.h"
#include "sys/huge_page_pool.h"
#include "sys/text_file.h"

namespace godwit::files {

namespace {

using Verdict = wire::FileVerdict;

// Of a written file, so that an equal one on the destination may be replaced.
constexpr uint64_t kLargestWrittenHash = uint64_t{64} << 20;

bool is_job_private(const image::File& file) {
  constexpr std::array<std::string_view, 6> kTypes{"proc", "devpts", "mqueue", "sysfs", "cgroup2", "nsfs"};
  bool own_type = std::find(kTypes.begin(), kTypes.end(), file.filesystem()) != kTypes.end();
  return own_type || file.path() == "/dev/shm";
}

struct Room {
  uint64_t device;
  sys::PoolRoom pool;
};

// Of the file system that `path` will lie on when the directories that are missing have been made.
Result<Room> room_around(std::string path) {
  for (;;) {
    path.resize(path.rfind('/'));
    auto directory = sys::open_path(path.empty() ? "/" : path, O_PATH | O_DIRECTORY);
    if (directory) return Room{TRY(sys::status_of(directory->get())).st_dev, TRY(sys::pool_room(directory->get()))};
    if (directory.error().kind != ErrorKind::gone || path.empty()) return std::unexpected(directory.error());
  }
}

bool is_plain_path(const std::string& path) {
  bool absolute = path.starts_with("/") && path.size() < PATH_MAX && path.find('\0') == std::string::npos;
  bool ends_in_name = path == "/" || !path.ends_with("/");
  return absolute && ends_in_name && std::filesystem::path(path).lexically_normal().native() == path;
}

// The decision about one file: what is found here, against what the source
// says.
class Decision {
 public:
  Decision(const image::File& file, const DestinationView& view, std::vector<worker::Refusal>& refusals, PoolUse& use)
      : file_(file),
        view_(view),
        refusals_(refusals),
        use_(use),
        path_(view.root + file.path()),
        here_(sys::status_of(path_)) {
    verdict_.set_file(file.id());
  }

  Verdict make(bool same_machine);

 private:
  Verdict origin(image::File::Origin origin, std::string why) {
    verdict_.set_origin(origin);
    verdict_.set_why(std::move(why));
    return std::move(verdict_);
  }
  Verdict refuse(std::string code, std::string what, std::string remedy);
  Verdict shared();
  Verdict regular();
  Verdict written();
  Verdict created(std::string why);
  Verdict directory();
  Verdict special();
  Verdict pool_file(bool same_machine);
  bool has_room(const Room& room);
  bool same_content() const;
  bool former_copy() const { return view_.left_behind.is_former_copy(file_.path(), *here_, view_.job); }
  void note_here();

  const image::File& file_;
  const DestinationView& view_;
  std::vector<worker::Refusal>& refusals_;
  PoolUse& use_;
  std::string path_;
  Result<struct stat> here_;
  Verdict verdict_;
};

Verdict Decision::refuse(std::string code, std::string what, std::string remedy) {
  worker::Refusal refusal;
  refusal.set_code(std::move(code));
  refusal.set_fd(-1);
  refusal.set_what(file_.path() + ": " + what);
  refusal.set_remedy(std::move(remedy));
  refusals_.push_back(std::move(refusal));
  return origin(image::File::UNDECIDED, std::move(what));
}

void Decision::note_here() {
  Verdict::Here& found = *verdict_.mutable_here();
  found.set_device(here_->st_dev);
  found.set_inode(here_->st_ino);
  found.set_size(static_cast<uint64_t>(here_->st_size));
  found.set_mtime_ns(nanoseconds(here_->st_mtim));
  found.set_ctime_ns(nanoseconds(here_->st_ctim));
}

bool Decision::same_content() const {
  if (file_.sha256().empty() || static_cast<uint64_t>(here_->st_size) != file_.size()) return false;
  auto fd = sys::open_path(path_, O_RDONLY | O_NONBLOCK);
  if (!fd) return false;
  auto digest = view_.hashes->sha256(fd->get());
  return digest && *digest == file_.sha256();
}

// The owner's rights count, as if the job had opened the file here.
Verdict Decision::shared() {
  int rights = S_ISDIR(file_.mode()) ? X_OK : file_.written() ? R_OK | W_OK : R_OK;
  bool may = S_ISREG(file_.mode()) || S_ISDIR(file_.mode()) ? owner_may(view_.owner, path_, rights) : true;
  if (!may) {
    return refuse("files.not_permitted", "the job's owner may not use it on the destination",
                  "give the owner access to it there");
  }
  note_here();
  return origin(image::File::SHARED, "same file system");
}

// A new name, or another file under this one: the owner must be able to make
// it, and no link may lead elsewhere.
Verdict Decision::created(std::string why) {
  if (here_) note_here();
  std::string parent = path_.substr(0, path_.rfind('/') + 1);
  auto directory = sys::open_without_links(parent, O_PATH | O_DIRECTORY);
  if (!directory && directory.error().kind == ErrorKind::conflict) {
    return refuse("files.symbolic_link", "on the destination a symbolic link is in its path",
                  "make it a real directory there");
  }
  if (!owner_may_create(view_.owner, path_)) {
    return refuse("files.not_permitted", "the job's owner may not create it on the destination",
                  "make its directory writable there, or put it on a shared file system");
  }
  return origin(image::File::CARRIED, std::move(why));
}

Verdict Decision::written() {
  if (former_copy()) return created("replaces the copy this job left there");
  if (same_content()) return created("replaces the same content there");
  return refuse("files.conflict", "the destination has a different file of that name",
                "move it away there, or put the file on a shared file system");
}

Verdict Decision::regular() {
  if (!here_) return created("not on the destination");
  if (!S_ISREG(here_->st_mode)) {
    return refuse("files.type", "on the destination it is no regular file", "move it away there");
  }
  if (file_.written()) return written();
  if (same_content()) {
    note_here();
    return origin(image::File::LOCAL_EQUIVALENT, "same content");
  }
  bool may_replace = former_copy() && owner_may_create(view_.owner, path_);
  if (may_replace) return created("replaces the copy this job left there");
  note_here();
  verdict_.set_hidden(true);
  return origin(image::File::CARRIED, "differs on the destination; the job alone will see the source's");
}

Verdict Decision::directory() {
  if (!here_) return created("made on the destination");
  if (!S_ISDIR(here_->st_mode)) {
    return refuse("files.type", "on the destination it is no directory", "move it away there");
  }
  if (!owner_may(view_.owner, path_, X_OK)) {
    return refuse("files.not_permitted", "the job's owner may not enter it on the destination",
                  "give the owner access to it there");
  }
  return origin(image::File::LOCAL_EQUIVALENT, "directory of that name");
}

Verdict Decision::special() {
  bool is_fifo = S_ISFIFO(file_.mode());
  if (is_fifo && !here_) return created("made on the destination");
  bool same_type = here_ && (here_->st_mode & S_IFMT) == (file_.mode() & S_IFMT);
  if (is_fifo) {
    if (!same_type) return refuse("files.type", "on the destination it is no FIFO", "move it away there");
    return origin(image::File::LOCAL_EQUIVALENT, "FIFO of that name");
  }
  if (same_type && here_->st_rdev == file_.special_device()) {
    return origin(image::File::LOCAL_EQUIVALENT, "the destination's device");
  }
  return refuse("files.device", "the destination has no such device", "close it before the move");
}

// Beside the others that go to the same mount.
bool Decision::has_room(const Room& room) {
  uint64_t& pages = use_[room.device];
  uint64_t page_bytes = room.pool.page_bytes;
  pages += file_.size() / page_bytes + (file_.size() % page_bytes != 0 ? 1 : 0);
  return !room.pool.pages_left || pages <= *room.pool.pages_left;
}

// Its memory is the kernel's pool wherever it lies: with a name or without one, only on a mount like the source's. What
// has its name here is nobody's former copy: writing by a mapping leaves no trace in the file's times.
Verdict Decision::pool_file(bool same_machine) {
  if (!file_.unlinked() && here_ && is_shared(file_, *here_, same_machine, view_.mounts)) return shared();
  std::string pages = "huge pages of " + std::to_string(file_.page_bytes() / 1024) + "K";
  auto room = room_around(path_);
  if (!room || room->pool.page_bytes != file_.page_bytes()) {
    return refuse("memory.hugetlb_file", "on the destination there is no hugetlbfs in " + pages,
                  "mount it there at " + file_.mount_point() + ", with the same pagesize");
  }
  if (!has_room(*room)) {
    std::string left = std::to_string(*room->pool.pages_left);
    return refuse("memory.hugetlb_file", "its mount on the destination has room for " + left + " " + pages,
                  "mount it there with a larger size");
  }
  if (file_.unlinked()) return created("it has no name any more");
  if (!here_) return created("not on the destination");
  if (!S_ISREG(here_->st_mode)) {
    return refuse("files.type", "on the destination it is no regular file", "move it away there");
  }
  bool replaced_meanwhile = same_machine && here_->st_dev == file_.device();
  if (replaced_meanwhile) return origin(image::File::CARRIED, "another file has its name by now");
  return refuse("files.conflict", "the destination has a file of that name", "move it away there");
}

Verdict Decision::make(bool same_machine) {
  if (!is_plain_path(file_.path())) {
    return refuse("files.path", "its path cannot be followed", "close the file before the move");
  }
  if (is_job_private(file_)) return origin(image::File::JOB_PRIVATE, "the job's own");
  if (S_ISREG(file_.mode()) && file_.page_bytes() != 0) return pool_file(same_machine);
  bool movable = S_ISREG(file_.mode()) || S_ISDIR(file_.mode()) || S_ISFIFO(file_.mode());
  if (file_.unlinked() && movable) return origin(image::File::CARRIED, "it has no name any more");
  bool in_shm = file_.path().starts_with("/dev/shm/") && file_.mount_point() == "/dev/shm";
  if (in_shm && movable) return origin(image::File::CARRIED, "the job's shared memory");
  bool in_scratch = !view_.scratch.empty() && file_.path().starts_with(view_.scratch + "/");
  if (in_scratch && movable) return origin(image::File::CARRIED, "the job's scratch directory");
  if (!view_.scratch.empty() && file_.path() == view_.scratch) {
    return origin(image::File::LOCAL_EQUIVALENT, "the job's scratch directory");
  }
  if (here_ && is_shared(file_, *here_, same_machine, view_.mounts)) return shared();
  if (S_ISREG(file_.mode())) return regular();
  return S_ISDIR(file_.mode()) ? directory() : special();
}

bool changed_since(const image::File& before, const image::File& now) {
  return before.path() != now.path() || before.written() != now.written() || before.size() != now.size() ||
         before.mtime_ns() != now.mtime_ns() || before.ctime_ns() != now.ctime_ns();
}

}  // namespace

Result<void> add_hashes(FileTable& table, image::LogicalHost& host, const std::set<uint64_t>& skip_devices) {
  for (image::File& file : *host.mutable_files()) {
    bool wanted = S_ISREG(file.mode()) && file.page_bytes() == 0 && !file.unlinked() && !is_job_private(file) &&
                  !skip_devices.contains(file.device()) && (!file.written() || file.size() <= kLargestWrittenHash);
    if (!wanted) continue;
    image::File& known = table.get(file.id());
    if (file.written() && !known.sha256().empty()) continue;  // of the plan; in the freeze nothing is read again
    auto fd = table.readable_fd(file.id());
    if (!fd) continue;  // not readable: it cannot be compared with the destination's
    known.set_sha256(TRY(table.hashes().sha256(*fd).within(file.path())));
    file.set_sha256(known.sha256());
  }
  return {};
}

Result<DestinationView> DestinationView::of_this_node(const worker::JobPlace& place, const LeftBehind& left_behind) {
  DestinationView view;
  view.boot_id = TRY(sys::read_text("/proc/sys/kernel/random/boot_id"));
  view.mounts = TRY(proc::parse_mountinfo(TRY(sys::read_text("/proc/self/mountinfo"))));
  view.owner = Owner{place.uid(), place.gid(), {place.groups().begin(), place.groups().end()}};
  view.left_behind = left_behind;
  view.job = place.job();
  view.scratch = place.scratch_directory();
  view.hashes = std::make_shared<HashCache>(hash_store_of(place));
  return view;
}

wire::FileVerdict decide_one(const image::File& file, const std::string& source_boot_id, const DestinationView& view,
                             std::vector<worker::Refusal>& refusals, PoolUse& use) {
  return Decision(file, view, refusals, use).make(source_boot_id == view.boot_id);
}

std::vector<wire::FileVerdict> decide(const image::LogicalHost& plan, const std::string& source_boot_id,
                                      const DestinationView& view, std::vector<worker::Refusal>& refusals) {
  std::vector<wire::FileVerdict> verdicts;
  PoolUse use;
  for (const image::File& file : plan.files()) {
    verdicts.push_back(decide_one(file, source_boot_id, view, refusals, use));
  }
  return verdicts;
}

bool is_still(const wire::FileVerdict::Here& found, const struct stat& status) {
  return found.device() == status.st_dev && found.inode() == status.st_ino &&
         found.size() == static_cast<uint64_t>(status.st_size) && found.mtime_ns() == nanoseconds(status.st_mtim) &&
         found.ctime_ns() == nanoseconds(status.st_ctim);
}

std::set<uint32_t> open_questions(const std::map<uint32_t, image::File>& plan,
                                  const std::map<uint32_t, wire::FileVerdict>& verdicts,
                                  const image::LogicalHost& state) {
  std::set<uint32_t> questions;
  for (const image::File& file : state.files()) {
    if (!S_ISREG(file.mode()) || file.page_bytes() != 0 || file.unlinked() || is_job_private(file)) continue;
    auto verdict = verdicts.find(file.id());
    auto before = plan.find(file.id());
    if (verdict == verdicts.end() || before == plan.end()) {
      questions.insert(file.id());
      continue;
    }
    bool replaceable = verdict->second.origin() == image::File::LOCAL_EQUIVALENT;
    if (replaceable && changed_since(before->second, file)) questions.insert(file.id());
  }
  return questions;
}

std::vector<worker::FilePlan> plan_rows(const image::LogicalHost& host, const wire::OfferAnswer& answer) {
  std::map<uint32_t, const image::File*> files;
  for (const image::File& file : host.files()) files[file.id()] = &file;
  std::vector<worker::FilePlan> rows;
  for (const wire::FileVerdict& verdict : answer.files()) {
    auto found = files.find(verdict.file());
    if (found == files.end()) continue;
    const image::File& file = *found->second;
    worker::FilePlan row;
    row.set_path(file.path());
    row.set_origin([&] {
      switch (verdict.origin()) {
        case image::File::SHARED: return "shared";
        case image::File::LOCAL_EQUIVALENT: return "local";
        case image::File::CARRIED: return "carried";
        case image::File::JOB_PRIVATE: return "private";
        default: return "undecided";
      }
    }());
    row.set_bytes(verdict.origin() == image::File::CARRIED && S_ISREG(file.mode()) ? file.size() : 0);
    row.set_why(verdict.why());
    rows.push_back(std::move(row));
  }
  return rows;
}

std::set<uint32_t> shared_files(const wire::OfferAnswer& answer) {
  std::set<uint32_t> shared;
  for (const wire::FileVerdict& verdict : answer.files()) {
    if (verdict.origin() == image::File::SHARED) shared.insert(verdict.file());
  }
  return shared;
}

std::set<uint64_t> shared_devices(const image::LogicalHost& host, const wire::OfferAnswer& answer) {
  std::set<uint32_t> shared = shared_files(answer);
  std::set<uint64_t> devices;
  for (const image::File& file : host.files()) {
    if (shared.contains(file.id())) devices.insert(file.device());
  }
  return devices;
}

}  // namespace godwit::files
