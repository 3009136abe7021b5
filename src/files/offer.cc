#include "files/offer.h"

#include <fcntl.h>

#include <unistd.h>

#include <algorithm>
#include <array>

#include "sys/hash.h"
#include "sys/text_file.h"

namespace godwit::files {

namespace {

using Origin = image::File;

bool is_job_private(const image::File& file) {
  constexpr std::array<std::string_view, 6> kTypes{"proc", "devpts", "mqueue", "sysfs", "cgroup2", "nsfs"};
  return std::find(kTypes.begin(), kTypes.end(), file.filesystem()) != kTypes.end();
}

bool is_network(std::string_view type) {
  constexpr std::array<std::string_view, 10> kTypes{"nfs",  "nfs4",   "cifs", "smb3",           "9p",
                                                    "ceph", "lustre", "gfs2", "fuse.glusterfs", "ocfs2"};
  return std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

// The same object seen from both nodes.
bool is_shared(const image::File& file, const std::string& source_boot_id, const DestinationView& view,
               const struct stat& here) {
  if (source_boot_id == view.boot_id) return here.st_dev == file.device() && here.st_ino == file.inode();
  return is_network(file.filesystem()) && here.st_ino == file.inode() &&
         static_cast<uint64_t>(here.st_size) == file.size();
}

worker::Refusal refusal(const image::File& file, std::string code, std::string what, std::string remedy) {
  worker::Refusal refusal;
  refusal.set_code(std::move(code));
  refusal.set_fd(-1);
  refusal.set_what(file.path() + ": " + std::move(what));
  refusal.set_remedy(std::move(remedy));
  return refusal;
}

struct Decision {
  image::File::Origin origin;
  std::string why;
};

// Whether the owner could have made this file here; root could.
bool owner_may_create(const std::string& path, const DestinationView& view) {
  if (view.uid == 0) return true;
  if (!sys::act_as(view.uid, view.gid, view.groups)) return false;
  std::string directory = path.substr(0, path.rfind('/') + 1);
  bool may = ::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) == 0;
  CHECK(sys::act_as(0, 0, {}));
  return may;
}

Decision decide_regular(const image::File& file, const DestinationView& view, const std::string& path,
                        const Result<struct stat>& here, const std::string& job, std::vector<worker::Refusal>& refusals) {
  if (!here) {
    if (!owner_may_create(path, view)) {
      refusals.push_back(refusal(file, "files.not_permitted", "the job's owner may not create it on the destination",
                                 "make its directory writable there, or put it on a shared file system"));
    }
    return {Origin::CARRIED, "not on the destination"};
  }
  if (!S_ISREG(here->st_mode)) {
    refusals.push_back(refusal(file, "files.type", "on the destination it is no regular file", "move it away there"));
    return {Origin::CARRIED, "another type there"};
  }
  bool former = view.left_behind.is_former_copy(path, *here, job);
  if (!file.written()) {
    bool same = false;
    if (static_cast<uint64_t>(here->st_size) == file.size() && !file.sha256().empty()) {
      auto fd = sys::open_path(path, O_RDONLY | O_NONBLOCK);
      auto digest = fd ? sys::sha256_of_file(fd->get()) : Result<std::string>(std::unexpected(fd.error()));
      same = digest && *digest == file.sha256();
    }
    if (same) return {Origin::LOCAL_EQUIVALENT, "same content"};
    if (former) return {Origin::CARRIED, "replaces the copy this job left there"};
    return {Origin::CARRIED, "differs on the destination; the job alone will see the source's"};
  }
  if (!former) {
    refusals.push_back(refusal(file, "files.conflict", "the destination has a different file of that name",
                               "move it away there, or put the file on a shared file system"));
  }
  return {Origin::CARRIED, former ? "replaces the copy this job left there" : "conflict"};
}

Decision decide_special(const image::File& file, const Result<struct stat>& here, std::vector<worker::Refusal>& refusals) {
  if (S_ISDIR(file.mode())) {
    if (here && S_ISDIR(here->st_mode)) return {Origin::LOCAL_EQUIVALENT, "directory of that name"};
    if (here) {
      refusals.push_back(refusal(file, "files.type", "on the destination it is no directory", "move it away there"));
    }
    return {Origin::CARRIED, "made on the destination"};
  }
  if (S_ISFIFO(file.mode())) {
    if (here && S_ISFIFO(here->st_mode)) return {Origin::LOCAL_EQUIVALENT, "FIFO of that name"};
    return {Origin::CARRIED, "made on the destination"};
  }
  if (here && here->st_rdev == file.special_device() && (here->st_mode & S_IFMT) == (file.mode() & S_IFMT)) {
    return {Origin::LOCAL_EQUIVALENT, "the destination's device"};
  }
  refusals.push_back(refusal(file, "files.device", "the destination has no such device", "close it before the move"));
  return {Origin::LOCAL_EQUIVALENT, "missing"};
}

}  // namespace

Result<void> add_hashes(FileTable& table, image::LogicalHost& host, const std::set<uint64_t>& skip_devices) {
  for (image::File& file : *host.mutable_files()) {
    bool wanted = S_ISREG(file.mode()) && !file.written() && !file.unlinked() && !is_job_private(file) &&
                  !skip_devices.contains(file.device());
    if (!wanted) continue;
    image::File& known = table.get(file.id());
    if (known.sha256().empty()) {
      auto fd = table.readable_fd(file.id());
      if (!fd) continue;  // not readable: the destination's own copy cannot be compared, and it is carried or refused
      known.set_sha256(TRY(sys::sha256_of_file(*fd)));
    }
    file.set_sha256(known.sha256());
  }
  return {};
}

Result<DestinationView> DestinationView::of_this_node(const worker::JobPlace& place, const LeftBehind& left_behind) {
  DestinationView view;
  view.boot_id = TRY(sys::read_text("/proc/sys/kernel/random/boot_id"));
  view.uid = place.uid();
  view.gid = place.gid();
  view.groups = {place.groups().begin(), place.groups().end()};
  view.left_behind = left_behind;
  view.job = place.job();
  return view;
}

wire::FileVerdict decide_one(const image::File& file, const std::string& source_boot_id, const DestinationView& view,
                             std::vector<worker::Refusal>& refusals) {
  wire::FileVerdict verdict;
  verdict.set_file(file.id());
  auto set = [&](Decision decision) {
    verdict.set_origin(decision.origin);
    verdict.set_why(std::move(decision.why));
    return verdict;
  };
  if (is_job_private(file)) return set({Origin::JOB_PRIVATE, "made with the job's namespaces"});
  bool sound = file.path().starts_with("/") && file.path().find('\0') == std::string::npos;
  if (!sound) {
    refusals.push_back(refusal(file, "files.unreachable", "it has no path inside the job", "close it before the move"));
    return set({Origin::CARRIED, "no path"});
  }
  if (file.unlinked() && S_ISREG(file.mode())) return set({Origin::CARRIED, "unlinked"});
  bool in_own_shm = file.mount_point() == "/dev/shm" && file.filesystem() == "tmpfs";
  std::string path = view.root + file.path();
  auto here = sys::status_of(path);
  if (in_own_shm && file.path() != "/dev/shm") return set({Origin::CARRIED, "the job's shared memory"});
  if (here && is_shared(file, source_boot_id, view, *here)) return set({Origin::SHARED, "same file system"});
  if (S_ISREG(file.mode())) return set(decide_regular(file, view, path, here, view.job, refusals));
  return set(decide_special(file, here, refusals));
}

std::vector<wire::FileVerdict> decide(const image::LogicalHost& plan, const std::string& source_boot_id,
                                      const DestinationView& view, std::vector<worker::Refusal>& refusals) {
  std::vector<wire::FileVerdict> verdicts;
  for (const image::File& file : plan.files()) verdicts.push_back(decide_one(file, source_boot_id, view, refusals));
  return verdicts;
}

std::vector<worker::FilePlan> plan_rows(const image::LogicalHost& host, const wire::OfferAnswer& answer) {
  std::vector<worker::FilePlan> rows;
  for (const wire::FileVerdict& verdict : answer.files()) {
    for (const image::File& file : host.files()) {
      if (file.id() != verdict.file()) continue;
      worker::FilePlan row;
      row.set_path(file.path());
      constexpr std::array<const char*, 5> kNames{"undecided", "shared", "local", "carried", "private"};
      row.set_origin(kNames.at(static_cast<size_t>(verdict.origin())));
      row.set_bytes(verdict.origin() == image::File::CARRIED && S_ISREG(file.mode()) ? file.size() : 0);
      row.set_why(verdict.why());
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

std::set<uint64_t> shared_devices(const image::LogicalHost& host, const wire::OfferAnswer& answer) {
  std::set<uint32_t> shared;
  for (const wire::FileVerdict& verdict : answer.files()) {
    if (verdict.origin() == image::File::SHARED) shared.insert(verdict.file());
  }
  std::set<uint64_t> devices;
  for (const image::File& file : host.files()) {
    if (shared.contains(file.id())) devices.insert(file.device());
  }
  return devices;
}

}  // namespace godwit::files
