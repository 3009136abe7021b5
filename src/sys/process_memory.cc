#include "sys/process_memory.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <string>

#include "sys/errno.h"

namespace godwit::sys {

namespace {

constexpr size_t kMostRanges = 1024;  // IOV_MAX
using Vectors = std::array<iovec, kMostRanges>;

void fill(Vectors& vectors, std::span<const AddressRange> ranges) {
  CHECK(ranges.size() <= vectors.size());
  for (size_t i = 0; i < ranges.size(); ++i) {
    vectors[i] = {reinterpret_cast<void*>(ranges[i].start), ranges[i].size()};
  }
}

}  // namespace

Result<size_t> read_memory(pid_t pid, std::span<const AddressRange> ranges, std::span<std::byte> into) {
  Vectors remote;
  fill(remote, ranges);
  iovec local{into.data(), into.size()};
  ssize_t count = ::process_vm_readv(pid, &local, 1, remote.data(), ranges.size(), 0);
  if (count < 0) return last_error("process_vm_readv", "pid " + std::to_string(pid));
  return static_cast<size_t>(count);
}

Result<size_t> write_memory(pid_t pid, std::span<const AddressRange> ranges, std::span<const std::byte> bytes) {
  Vectors remote;
  fill(remote, ranges);
  iovec local{const_cast<std::byte*>(bytes.data()), bytes.size()};
  ssize_t count = ::process_vm_writev(pid, &local, 1, remote.data(), ranges.size(), 0);
  if (count < 0) return last_error("process_vm_writev", "pid " + std::to_string(pid));
  return static_cast<size_t>(count);
}

Result<void> read_memory_at(pid_t pid, uint64_t address, std::span<std::byte> into) {
  AddressRange range{address, address + into.size()};
  size_t count = TRY(read_memory(pid, std::span(&range, 1), into));
  if (count != into.size()) return error(ErrorKind::gone, "memory of pid " + std::to_string(pid) + " is not all there");
  return {};
}

Result<void> write_memory(pid_t pid, uint64_t address, std::span<const std::byte> bytes) {
  iovec local{const_cast<std::byte*>(bytes.data()), bytes.size()};
  iovec remote{reinterpret_cast<void*>(address), bytes.size()};
  ssize_t count = ::process_vm_writev(pid, &local, 1, &remote, 1, 0);
  if (count < 0) return last_error("process_vm_writev", "pid " + std::to_string(pid));
  if (static_cast<size_t>(count) != bytes.size()) return error(ErrorKind::gone, "memory is not all there");
  return {};
}

Result<MemoryFile> MemoryFile::open(pid_t pid) {
  std::string path = "/proc/" + std::to_string(pid) + "/mem";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return last_error("open", path);
  return MemoryFile(std::move(fd));
}

Result<void> MemoryFile::write(uint64_t address, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    ssize_t count = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(address));
    if (count < 0) return last_error("pwrite", "memory of the process at " + std::to_string(address));
    if (count == 0) return error(ErrorKind::gone, "the process has no memory any more");
    bytes = bytes.subspan(static_cast<size_t>(count));
    address += static_cast<uint64_t>(count);
  }
  return {};
}

Result<void> MemoryFile::read(uint64_t address, std::span<std::byte> into) const {
  while (!into.empty()) {
    ssize_t count = ::pread(fd_.get(), into.data(), into.size(), static_cast<off_t>(address));
    if (count < 0) return last_error("pread", "memory of the process at " + std::to_string(address));
    if (count == 0) return error(ErrorKind::gone, "the process has no memory any more");
    into = into.subspan(static_cast<size_t>(count));
    address += static_cast<uint64_t>(count);
  }
  return {};
}

}  // namespace godwit::sys
