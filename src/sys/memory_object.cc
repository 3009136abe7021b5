#include "sys/memory_object.h"

#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include <cstdio>

#include "sys/errno.h"
#include "sys/huge_page_pool.h"
#include "sys/text_file.h"

namespace godwit::sys {

namespace {

// A descriptor of what we have mapped at `address`; needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN.
Result<UniqueFd> open_mapping(void* address, uint64_t size) {
  char path[96];
  auto start = reinterpret_cast<uint64_t>(address);
  std::snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", start, start + size);
  UniqueFd fd(::open(path, O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return last_error("open", path);
  return fd;
}

uint64_t in_pages(uint64_t size, uint64_t page_bytes) {
  uint64_t mask = (page_bytes == 0 ? 4096 : page_bytes) - 1;
  return (size + mask) & ~mask;
}

}  // namespace

Result<UniqueFd> make_memfd(const std::string& name, bool sealable, uint64_t size, uint64_t page_bytes) {
  unsigned flags = MFD_CLOEXEC | (sealable ? MFD_ALLOW_SEALING : 0);
  if (page_bytes != 0) flags |= MFD_HUGETLB | pool_size_flag(page_bytes);
  UniqueFd fd(::memfd_create(name.c_str(), flags));
  if (!fd.valid()) return last_error("memfd_create", name);
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return last_error("ftruncate", name);
  return fd;
}

Result<UniqueFd> make_anonymous_shared(uint64_t size, uint64_t page_bytes) {
  size = in_pages(size, page_bytes);
  int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
  if (page_bytes != 0) flags |= static_cast<int>(pool_map_flags(page_bytes));
  void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (address == MAP_FAILED) return last_error("mmap");
  auto fd = open_mapping(address, size);
  ::munmap(address, size);
  return fd;
}

Result<UniqueFd> make_sysv_segment(const SysvSegment& segment) {
  TRY(write_text("/proc/sys/kernel/shm_next_id", std::to_string(segment.id)));
  int flags = IPC_CREAT | IPC_EXCL | static_cast<int>(segment.mode & 0777);
  if (segment.page_bytes != 0) flags |= static_cast<int>(SHM_HUGETLB | pool_size_flag(segment.page_bytes));
  int id = ::shmget(segment.key, segment.size, flags);
  if (id < 0) return last_error("shmget");
  if (id != segment.id) return error(ErrorKind::conflict, "the System V segment's number is taken");
  shmid_ds settings{};
  if (::shmctl(id, IPC_STAT, &settings) != 0) return last_error("shmctl");
  settings.shm_perm.uid = segment.uid;
  settings.shm_perm.gid = segment.gid;
  settings.shm_perm.mode = static_cast<unsigned short>(segment.mode);
  if (::shmctl(id, IPC_SET, &settings) != 0) return last_error("shmctl");
  void* address = ::shmat(id, nullptr, 0);
  if (address == reinterpret_cast<void*>(-1)) return last_error("shmat");
  auto fd = open_mapping(address, in_pages(segment.size, segment.page_bytes));
  ::shmdt(address);
  return fd;
}

uint32_t seals_of(int fd) {
  int seals = ::fcntl(fd, F_GET_SEALS);
  return seals < 0 ? 0 : static_cast<uint32_t>(seals);
}

Result<void> add_seals(int fd, uint32_t seals) {
  return checked_void(::fcntl(fd, F_ADD_SEALS, static_cast<int>(seals)), "fcntl(F_ADD_SEALS)");
}

}  // namespace godwit::sys
