#include "address_space/skeleton_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "address_space/layout.h"
#include "address_space/protection_keys.h"
#include "proc/maps.h"
#include "sys/huge_page_pool.h"
#include "sys/ptrace.h"
#include "sys/text_file.h"

namespace godwit::address_space {

namespace {

using freeze::CallBatch;
using freeze::RemoteAddress;

constexpr int kPrSetVma = 0x53564d41;  // linux/prctl.h, PR_SET_VMA, since Linux 5.17
constexpr int kPrSetVmaAnonName = 0;
constexpr size_t kRoomForOneMapping = 4096;  // calls and data that one mapping may need in a batch

struct AdviceCall {
  uint64_t bit;
  int advice;
};
constexpr AdviceCall kAdviceCalls[] = {{kDontFork, MADV_DONTFORK},      {kDontDump, MADV_DONTDUMP},
                                       {kWipeOnFork, MADV_WIPEONFORK},  {kHugePages, MADV_HUGEPAGE},
                                       {kNoHugePages, MADV_NOHUGEPAGE}, {kMergeable, MADV_MERGEABLE},
                                       {kSequential, MADV_SEQUENTIAL},  {kRandom, MADV_RANDOM}};

bool is_kernel_page(const image::Mapping& mapping) {
  return mapping.kind() == image::Mapping::VDSO || mapping.kind() == image::Mapping::VVAR;
}

bool is_fixed_of_pool(const image::Mapping& mapping) {
  return mapping.page_bytes() != 0 && (mapping.flags() & MAP_TYPE) == MAP_PRIVATE &&
         (mapping.protection() & PROT_WRITE) == 0;
}

// An object of the pool becomes as large as a mapping of it reaches that is writable from the beginning, also where the
// program has made it shorter: fs/hugetlbfs/inode.c, hugetlbfs_file_mmap.
bool grows_object(const image::Mapping& mapping) {
  return mapping.kind() == image::Mapping::SHARED_MEMORY && mapping.page_bytes() != 0;
}

void add_advice(CallBatch& batch, const image::Mapping& mapping) {
  uint64_t size = mapping.end() - mapping.start();
  for (const AdviceCall& call : kAdviceCalls) {
    if (mapping.advice() & call.bit) {
      batch.add(SYS_madvise, {mapping.start(), size, static_cast<uint64_t>(call.advice)});
    }
  }
  if (mapping.advice() & kLocked) batch.add(SYS_mlock2, {mapping.start(), size, 1 /* MLOCK_ONFAULT: filled later */});
  constexpr std::string_view kAnon = "[anon:";
  std::string_view name = mapping.name();
  if (mapping.kind() == image::Mapping::ANONYMOUS && name.starts_with(kAnon) && name.ends_with("]") &&
      name.size() < 100) {
    std::string inner(name.substr(kAnon.size(), name.size() - kAnon.size() - 1));
    batch.add(SYS_prctl, {kPrSetVma, kPrSetVmaAnonName, mapping.start(), size, value(batch.put_string(inner.c_str()))});
  }
}

}  // namespace

std::string SkeletonMemory::what_is_at(uint64_t address) const {
  for (const image::Mapping& mapping : current_) {
    if (address < mapping.start() || address >= mapping.end()) continue;
    std::string place = mapping.kind() == image::Mapping::ANONYMOUS ? "anonymous memory"
                        : mapping.kind() == image::Mapping::FILE    ? "file " + std::to_string(mapping.object())
                                                                    : "object " + std::to_string(mapping.object());
    return place + " at " + std::to_string(address - mapping.start() + mapping.offset());
  }
  return "nothing";
}

Result<void> SkeletonMemory::begin() {
  std::string text = TRY(sys::read_text("/proc/" + std::to_string(calls_.tid()) + "/maps"));
  std::vector<proc::MapEntry> entries = TRY(proc::parse_maps(text));
  CallBatch batch = calls_.batch();
  // The kernel writes to godwit-init's rseq area whenever it schedules the thread: let go of it before it is unmapped.
  sys::RseqConfiguration rseq = TRY(sys::get_rseq_configuration(calls_.tid()));
  constexpr uint64_t kUnregister = 1;  // RSEQ_FLAG_UNREGISTER, linux/rseq.h
  if (rseq.address != 0) batch.add(SYS_rseq, {rseq.address, rseq.size, kUnregister, rseq.signature});
  for (const proc::MapEntry& entry : entries) {
    if (entry.start >= kAddressLimit) continue;
    uint64_t region = value(calls_.region());
    if (entry.start < region + CallBatch::kRegionBytes && entry.end > region) continue;
    bool vdso = entry.name == "[vdso]";
    if (vdso || entry.name.starts_with("[vvar")) {
      image::Mapping page;
      page.set_start(entry.start);
      page.set_end(entry.end);
      page.set_kind(vdso ? image::Mapping::VDSO : image::Mapping::VVAR);
      if (vdso) vdso_ = RemoteAddress{entry.start};
      kernel_pages_.push_back(std::move(page));
      continue;
    }
    batch.add(SYS_munmap, {entry.start, entry.end - entry.start});
  }
  TRY(calls_.run(batch));
  TRY(batch.all_succeeded("emptying a skeleton"));
  CallBatch keys = calls_.batch();  // inherited ones; that it does not have others is no failure
  for (uint32_t key = 1; key < kProtectionKeys; ++key) keys.add(SYS_pkey_free, {key});
  return calls_.run(keys);
}

// Moves vvar and vDSO to the wanted addresses, by way of the middle of the region's gap so that no step overlaps.
Result<void> SkeletonMemory::place_kernel_pages(const image::AddressSpace& wanted) {
  std::vector<image::Mapping> places;
  for (const image::Mapping& mapping : wanted.mappings()) {
    if (is_kernel_page(mapping)) places.push_back(mapping);
  }
  if (places.empty()) return {};
  auto same = [](const image::Mapping& a, const image::Mapping& b) {
    return a.kind() == b.kind() && a.start() == b.start() && a.end() == b.end();
  };
  if (std::equal(places.begin(), places.end(), kernel_pages_.begin(), kernel_pages_.end(), same)) return {};
  auto same_shape = [](const image::Mapping& a, const image::Mapping& b) {
    return a.kind() == b.kind() && a.end() - a.start() == b.end() - b.start();
  };
  if (!std::equal(places.begin(), places.end(), kernel_pages_.begin(), kernel_pages_.end(), same_shape)) {
    return error(ErrorKind::unsupported, "the vDSO of this kernel has another shape than the source's");
  }
  CallBatch batch = calls_.batch();
  constexpr uint64_t kMove = MREMAP_MAYMOVE | MREMAP_FIXED;
  uint64_t aside = value(calls_.region()) + (uint64_t{64} << 20);
  for (const image::Mapping& page : kernel_pages_) {
    uint64_t size = page.end() - page.start();
    batch.add(SYS_mremap, {page.start(), size, size, kMove, aside + (page.start() - kernel_pages_.front().start())});
  }
  for (size_t i = 0; i < places.size(); ++i) {
    uint64_t size = places[i].end() - places[i].start();
    uint64_t from = aside + (kernel_pages_[i].start() - kernel_pages_.front().start());
    batch.add(SYS_mremap, {from, size, size, kMove, places[i].start()});
    if (places[i].kind() == image::Mapping::VDSO) vdso_ = RemoteAddress{places[i].start()};
  }
  TRY(calls_.run(batch));
  TRY(batch.all_succeeded("moving the vDSO"));
  kernel_pages_ = std::move(places);
  return {};
}

Result<void> SkeletonMemory::unmap(const std::vector<image::Mapping>& surplus) {
  CallBatch batch = calls_.batch();
  for (const image::Mapping& mapping : surplus) {
    if (batch.room() < kRoomForOneMapping) {
      TRY(calls_.run(batch));
      batch = calls_.batch();
    }
    batch.add(SYS_munmap, {mapping.start(), mapping.end() - mapping.start()});
  }
  TRY(calls_.run(batch));
  return batch.all_succeeded("unmapping what the program no longer has");
}

Result<void> SkeletonMemory::allocate_keys(uint32_t wanted) {
  if (keys_ == wanted) return {};
  CallBatch batch = calls_.batch();
  KeyCalls made = TRY(add_key_calls(batch, keys_, wanted));
  TRY(calls_.run(batch));
  TRY(batch.all_succeeded("allocating the program's protection keys"));
  for (auto [call, key] : made) {
    if (batch.result(call) != key) return error(ErrorKind::retry, "the kernel gave another protection key");
  }
  keys_ = wanted;
  return {};
}

Result<void> SkeletonMemory::map(const std::vector<image::Mapping>& missing, const MappingSources& sources) {
  CallBatch batch = calls_.batch();
  auto flush = [&]() -> Result<void> {
    TRY(calls_.run(batch));
    TRY(batch.all_succeeded("mapping the program's memory"));
    batch = calls_.batch();
    return {};
  };
  for (const image::Mapping& mapping : missing) {
    if (batch.room() < kRoomForOneMapping) TRY(flush());
    uint64_t size = mapping.end() - mapping.start();
    uint64_t flags =
        (mapping.flags() & (MAP_TYPE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_NORESERVE)) | MAP_FIXED_NOREPLACE;
    uint64_t protection = mapping.protection() | (is_fixed_of_pool(mapping) ? PROT_WRITE : 0);
    if (mapping.kind() == image::Mapping::ANONYMOUS) {
      if (mapping.page_bytes() != 0) flags |= sys::pool_map_flags(mapping.page_bytes());
      batch.add(SYS_mmap, {mapping.start(), size, protection, flags | MAP_ANONYMOUS, ~uint64_t{0}, 0});
    } else {
      bool of_file = mapping.kind() == image::Mapping::FILE;
      bool writable = (mapping.flags() & MAP_TYPE) == MAP_SHARED && (mapping.advice() & kMayWrite) != 0;
      auto& source = of_file ? sources.file : sources.shared_memory;
      int fd = TRY(source(mapping.object(), writable));
      size_t taken = batch.add(SYS_pidfd_getfd,
                               {static_cast<uint64_t>(sources.worker_pidfd_number), static_cast<uint64_t>(fd), 0});
      flags &= ~uint64_t{MAP_ANONYMOUS};
      uint64_t at_first = grows_object(mapping) ? protection & ~uint64_t{PROT_WRITE} : protection;
      batch.add_using(SYS_mmap, {mapping.start(), size, at_first, flags, 0, mapping.offset()}, 4, taken);
      batch.add_using(SYS_close, {}, 0, taken);
      if (at_first != protection) batch.add(SYS_mprotect, {mapping.start(), size, protection});
    }
    if (mapping.protection_key() != 0 && !is_execute_only(mapping, keys_)) {
      batch.add(SYS_pkey_mprotect, {mapping.start(), size, protection, mapping.protection_key()});
    }
    add_advice(batch, mapping);
  }
  return flush();
}

Result<std::vector<sys::AddressRange>> SkeletonMemory::adapt(const image::AddressSpace& wanted,
                                                             const MappingSources& sources) {
  TRY(check_layout(wanted));
  if (kernel_pages_.empty()) TRY(begin());
  std::vector<image::Mapping> target;
  for (const image::Mapping& mapping : wanted.mappings()) {
    uint64_t region = value(calls_.region());
    if (mapping.start() < region + (uint64_t{80} << 20) && mapping.end() > region) {
      return error(ErrorKind::retry, "the program mapped memory where our code is");
    }
    if (!is_kernel_page(mapping)) target.push_back(mapping);
  }
  std::vector<image::Mapping> surplus = layout_difference(current_, target);
  TRY(unmap(surplus));
  TRY(place_kernel_pages(wanted));
  TRY(allocate_keys(wanted.protection_keys()));
  TRY(map(layout_difference(target, current_), sources));
  current_ = std::move(target);
  std::vector<sys::AddressRange> lost;
  for (const image::Mapping& mapping : surplus) lost.push_back({mapping.start(), mapping.end()});
  return lost;
}

bool SkeletonMemory::is_locked(sys::AddressRange range) const {
  auto first =
      std::ranges::partition_point(current_, [&](const auto& mapping) { return mapping.end() <= range.start; });
  for (; first != current_.end() && first->start() < range.end; ++first) {
    if ((first->advice() & kLocked) != 0) return true;
  }
  return false;
}

Result<void> SkeletonMemory::guard(std::span<const sys::AddressRange> ranges, bool guarded) {
  constexpr uint64_t kGuardInstall = 102;  // asm-generic/mman-common.h
  constexpr uint64_t kGuardRemove = 103;
  CallBatch batch = calls_.batch();
  for (const sys::AddressRange& range : ranges) {
    bool locked = guarded && is_locked(range);  // none can be made in locked memory, though they may be there
    if (locked) batch.add(SYS_munlock, {range.start, range.size()});
    batch.add(SYS_madvise, {range.start, range.size(), guarded ? kGuardInstall : kGuardRemove});
    if (locked) batch.add(SYS_mlock2, {range.start, range.size(), MLOCK_ONFAULT});
  }
  TRY(calls_.run(batch));
  return batch.all_succeeded("guard pages");
}

Result<void> SkeletonMemory::protect_pool() {
  CallBatch batch = calls_.batch();
  bool any = false;
  for (const image::Mapping& mapping : current_) {
    if (!is_fixed_of_pool(mapping)) continue;
    if (batch.room() < kRoomForOneMapping) {
      TRY(calls_.run(batch));
      batch = calls_.batch();
    }
    batch.add(SYS_mprotect, {mapping.start(), mapping.end() - mapping.start(), mapping.protection()});
    any = true;
  }
  if (!any) return {};
  TRY(calls_.run(batch));
  return batch.all_succeeded("protecting the program's huge pages");
}

void SkeletonMemory::add_limits(CallBatch& batch, const image::AddressSpace& wanted, int executable_fd) {
  // struct prctl_mm_map, linux/prctl.h; PR_SET_MM_MAP needs CAP_CHECKPOINT_RESTORE only (kernel/sys.c, prctl_set_mm).
  prctl_mm_map map{};
  map.start_code = wanted.start_code();
  map.end_code = wanted.end_code();
  map.start_data = wanted.start_data();
  map.end_data = wanted.end_data();
  map.start_brk = wanted.start_brk();
  map.brk = wanted.brk();
  map.start_stack = wanted.start_stack();
  map.arg_start = wanted.arg_start();
  map.arg_end = wanted.arg_end();
  map.env_start = wanted.env_start();
  map.env_end = wanted.env_end();
  size_t auxv_size = std::min<size_t>(wanted.auxv().size(), 8 * 64) / 16 * 16;
  map.auxv_size = static_cast<uint32_t>(auxv_size);
  map.auxv = reinterpret_cast<__u64*>(value(batch.put(std::as_bytes(std::span(wanted.auxv())).first(auxv_size))));
  map.exe_fd = static_cast<uint32_t>(executable_fd);
  RemoteAddress at = batch.put_value(map);
  batch.add(SYS_prctl, {PR_SET_MM, PR_SET_MM_MAP, value(at), sizeof map, 0, 0});
}

}  // namespace godwit::address_space
