// The layout of an address space: which ranges are mapped, how, and to what. Capture at the source.
//
// plan() reads /proc/PID/smaps while the program runs; full() reads only /proc/PID/maps, with all threads stopped, and
// takes what smaps alone tells (VmFlags) from the plan. What is mapped from files is registered in the FileTable,
// memory objects in the SharedMemoryTable. Source: proc_pid_maps(5), proc_pid_smaps(5), Linux fs/proc/task_mmu.c
// (show_map_vma, mnemonics).
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "files/file_table.h"
#include "godwit/image.pb.h"
#include "godwit/worker.pb.h"
#include "objects/shared_memory.h"
#include "proc/maps.h"

namespace godwit::address_space {

// Bits of image.Mapping.advice: what madvise(2), mlock(2) and open modes left on a mapping, by its VmFlags mnemonic.
enum Advice : uint64_t {
  kLocked = 1 << 0,       // lo
  kDontFork = 1 << 1,     // dc
  kDontDump = 1 << 2,     // dd
  kWipeOnFork = 1 << 3,   // wf
  kHugePages = 1 << 4,    // hg
  kNoHugePages = 1 << 5,  // nh
  kMergeable = 1 << 6,    // mg
  kSequential = 1 << 7,   // sr
  kRandom = 1 << 8,       // rr
  kMayWrite = 1 << 9,     // mw: the file behind a shared mapping was opened for writing
};

// User addresses end here; [vsyscall] lies above and is the kernel's own.
constexpr uint64_t kAddressLimit = uint64_t{1} << 47;

class LayoutCapture {
 public:
  LayoutCapture(files::FileTable& files, objects::SharedMemoryTable& shared) : files_(files), shared_(shared) {}

  // While the program runs. Appends what cannot be moved to `refusals`.
  Result<image::AddressSpace> plan(pid_t host_pid, pid_t pid, std::vector<worker::Refusal>& refusals);
  // With all threads of the process stopped.
  Result<image::AddressSpace> full(pid_t host_pid, pid_t pid, std::vector<worker::Refusal>& refusals);

 private:
  Result<image::AddressSpace> capture(pid_t host_pid, pid_t pid, std::vector<proc::MapEntry> entries,
                                      std::vector<worker::Refusal>& refusals);
  Result<void> add_mapping(pid_t host_pid, pid_t pid, const proc::MapEntry& entry, image::AddressSpace& into,
                           std::vector<worker::Refusal>& refusals);
  Result<uint32_t> file_of(pid_t host_pid, const proc::MapEntry& entry, bool written);
  Result<uint64_t> page_bytes_of(pid_t host_pid, const proc::MapEntry& entry);

  files::FileTable& files_;
  objects::SharedMemoryTable& shared_;
  std::map<std::pair<pid_t, uint64_t>, proc::MapEntry> planned_;  // by pid and end address
  struct FileKey {
    uint32_t major, minor;
    uint64_t inode;
    bool written;
    auto operator<=>(const FileKey&) const = default;
  };
  std::map<FileKey, uint32_t> known_files_;
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> page_bytes_;  // of the hugetlb pool, by device
  std::map<pid_t, uint32_t> executables_;
};

}  // namespace godwit::address_space
