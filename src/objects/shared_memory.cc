#include "objects/shared_memory.h"

#include <fcntl.h>

#include <bit>
#include <charconv>
#include <cstdio>
#include <set>

#include "sys/file.h"
#include "sys/huge_page_pool.h"
#include "sys/memory_object.h"

namespace godwit::objects {

namespace {

constexpr std::string_view kDeleted = " (deleted)";
constexpr uint64_t kMostBytes = uint64_t{1} << 46;

void name_it(image::SharedMemory& object, std::string_view link) {
  if (link.ends_with(kDeleted)) link.remove_suffix(kDeleted.size());
  constexpr std::string_view kMemfd = "/memfd:";
  constexpr std::string_view kSysv = "/SYSV";
  if (link.starts_with(kMemfd)) {
    object.set_kind(image::SharedMemory::MEMFD);
    object.set_name(std::string(link.substr(kMemfd.size())));
  } else if (link.starts_with(kSysv)) {
    object.set_kind(image::SharedMemory::SYSV);
    int32_t key = 0;
    uint32_t unsigned_key = 0;
    std::from_chars(link.data() + kSysv.size(), link.data() + link.size(), unsigned_key, 16);
    key = static_cast<int32_t>(unsigned_key);
    object.set_key(key);
  } else {
    object.set_kind(image::SharedMemory::ANONYMOUS);
  }
}

}  // namespace

Result<uint32_t> SharedMemoryTable::add(UniqueFd fd, std::string_view link, uint32_t file) {
  struct stat status = TRY(sys::status_of(fd.get()));
  std::pair<uint64_t, uint64_t> key(status.st_dev, status.st_ino);
  auto known = by_inode_.find(key);
  if (known != by_inode_.end()) return known->second;
  Object object;
  auto id = static_cast<uint32_t>(objects_.size() + 1);
  object.image.set_id(id);
  if (file == 0) name_it(object.image, link);
  if (file != 0) object.image.set_kind(image::SharedMemory::POOL_FILE);
  object.image.set_file(file);
  object.image.set_mode(status.st_mode & 0777);
  object.image.set_uid(status.st_uid);
  object.image.set_gid(status.st_gid);
  object.image.set_page_bytes(sys::pool_page_bytes(fd.get()));
  // The inode number of a System V segment is its identifier (ipc/shm.c, newseg).
  if (object.image.kind() == image::SharedMemory::SYSV) object.image.set_shmid(static_cast<int32_t>(status.st_ino));
  object.fd = std::move(fd);
  objects_.emplace(id, std::move(object));
  by_inode_[key] = id;
  return id;
}

Result<uint32_t> SharedMemoryTable::add_mapping(pid_t host_pid, uint64_t start, uint64_t end, std::string_view link) {
  char path[96];
  std::snprintf(path, sizeof path, "/proc/%d/map_files/%lx-%lx", host_pid, start, end);
  return add(TRY(sys::open_path(path, O_RDONLY)), link);
}

Result<uint32_t> SharedMemoryTable::add_memfd(int fd, std::string_view link) {
  return add(TRY(sys::reopen(fd, O_RDONLY)), link);
}

Result<uint32_t> SharedMemoryTable::add_pool_file(int fd, const image::File& file) {
  auto known = by_inode_.find({file.device(), file.inode()});
  if (known != by_inode_.end()) return known->second;
  return add(TRY(sys::reopen(fd, O_RDONLY)), file.path(), file.id());
}

Result<int> SharedMemoryTable::fd_of(uint32_t id) const {
  auto object = objects_.find(id);
  if (object == objects_.end()) return error(ErrorKind::bug, "no such memory object");
  return object->second.fd.get();
}

uint64_t SharedMemoryTable::page_bytes_of(uint32_t id) const { return objects_.at(id).image.page_bytes(); }

void SharedMemoryTable::fill(image::LogicalHost& host) const {
  host.clear_shared_memory();
  for (auto& [id, object] : objects_) {
    image::SharedMemory& image = *host.add_shared_memory();
    image = object.image;
    auto status = sys::status_of(object.fd.get());
    if (status) image.set_size(static_cast<uint64_t>(status->st_size));
    image.set_has_links(image.kind() == image::SharedMemory::POOL_FILE && (!status || status->st_nlink > 0));
    image.set_seals(sys::seals_of(object.fd.get()));
  }
}

uint64_t SharedMemoryTable::bytes() const {
  constexpr uint64_t kBlock = 512;  // stat(2)
  uint64_t bytes = 0;
  for (const auto& [id, object] : objects_) {
    auto status = sys::status_of(object.fd.get());
    if (status) bytes += static_cast<uint64_t>(status->st_blocks) * kBlock;
  }
  return bytes;
}

bool same_kind(const image::SharedMemory& one, const image::SharedMemory& other) {
  return one.kind() == other.kind() && one.name() == other.name() && one.page_bytes() == other.page_bytes() &&
         one.file() == other.file();
}

namespace {

Result<void> check_object(const image::SharedMemory& image) {
  bool possible = image.size() <= kMostBytes;
  if (uint64_t page = image.page_bytes(); page != 0) {
    possible = possible && std::has_single_bit(page) && image.size() % page == 0;
  }
  if (!possible) return error(ErrorKind::corrupt, "a memory object of impossible size");
  return {};
}

Result<UniqueFd> make(const image::SharedMemory& image) {
  if (image.kind() == image::SharedMemory::MEMFD) {
    constexpr uint32_t kNoSealing = 1;  // F_SEAL_SEAL: made without MFD_ALLOW_SEALING, or sealed for good
    bool sealable = (image.seals() & kNoSealing) == 0 || image.seals() != kNoSealing;
    return sys::make_memfd(image.name(), sealable, image.size(), image.page_bytes());
  }
  if (image.kind() == image::SharedMemory::SYSV) {
    return sys::make_sysv_segment(
        {image.shmid(), image.key(), image.mode(), image.uid(), image.gid(), image.size(), image.page_bytes()});
  }
  return sys::make_anonymous_shared(image.size(), image.page_bytes());
}

}  // namespace

// The file is as it was decided that it comes; a placed one is empty.
Result<void> SharedMemorySet::adapt_pool_file(const image::SharedMemory& image) {
  auto known = images_.find(image.id());
  if (known != images_.end() && !same_kind(known->second, image)) {
    return error(ErrorKind::corrupt, "a memory object has become another file");
  }
  bool in_place = opener_.is_shared(image.file());
  if (!objects_.contains(image.id())) {
    UniqueFd fd = TRY(opener_.open(image.file(), in_place ? O_RDONLY : O_RDWR));
    if (sys::pool_page_bytes(fd.get()) != image.page_bytes() || image.page_bytes() == 0) {
      return error(ErrorKind::corrupt, opener_.path(image.file()) + " does not lie in such huge pages");
    }
    objects_[image.id()] = std::move(fd);
  }
  if (in_place) return {};
  return sys::set_size(objects_.at(image.id()).get(), image.size()).within(opener_.path(image.file()));
}

Result<void> SharedMemorySet::adapt(const image::LogicalHost& host) {
  std::set<uint32_t> wanted;
  for (const image::SharedMemory& image : host.shared_memory()) {
    TRY(check_object(image));
    wanted.insert(image.id());
    auto known = images_.find(image.id());
    bool fits = known != images_.end() && same_kind(known->second, image);
    if (image.kind() == image::SharedMemory::POOL_FILE) {
      TRY(adapt_pool_file(image));
    } else if (fits && image.kind() == image::SharedMemory::MEMFD) {
      TRY(sys::set_size(objects_.at(image.id()).get(), image.size()));
    } else if (!fits || known->second.size() != image.size()) {
      objects_.erase(image.id());
      objects_[image.id()] = TRY(make(image));
    }
    images_[image.id()] = image;
  }
  std::erase_if(objects_, [&](auto& entry) { return !wanted.contains(entry.first); });
  std::erase_if(images_, [&](auto& entry) { return !wanted.contains(entry.first); });
  return {};
}

Result<int> SharedMemorySet::fd_of(uint32_t id) const {
  auto object = objects_.find(id);
  if (object == objects_.end()) return error(ErrorKind::corrupt, "a memory object that was never told of");
  return object->second.get();
}

bool SharedMemorySet::is_in_place(uint32_t id) const {
  auto file = file_of(id);
  return file && opener_.is_shared(*file);
}

std::optional<uint32_t> SharedMemorySet::file_of(uint32_t id) const {
  auto known = images_.find(id);
  bool is_file = known != images_.end() && known->second.kind() == image::SharedMemory::POOL_FILE;
  return is_file ? std::optional(known->second.file()) : std::nullopt;
}

Result<void> SharedMemorySet::seal(const image::LogicalHost& host) const {
  for (const image::SharedMemory& image : host.shared_memory()) {
    if (image.kind() == image::SharedMemory::MEMFD && image.seals() > 1) {
      TRY(sys::add_seals(TRY(fd_of(image.id())), image.seals()));
    }
  }
  return {};
}

}  // namespace godwit::objects
