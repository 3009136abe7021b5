#include "sys/residency.h"

#include <alloca.h>
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace godwit::sys {

namespace {

constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, include/uapi/asm-generic/mman-common.h
constexpr uintptr_t kPage = 4096;

int populate_object(dl_phdr_info* object, size_t, void*) {
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    uintptr_t start = (object->dlpi_addr + segment.p_vaddr) & ~(kPage - 1);
    uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
    if (::madvise(reinterpret_cast<void*>(start), end - start, kPopulateRead) != 0) continue;
    for (uintptr_t at = start; at < end; at += kPage) (void)*reinterpret_cast<const volatile char*>(at);
  }
  return 0;
}

}  // namespace

void keep_heap() {
  constexpr int kLargest = 32 << 20;  // DEFAULT_MMAP_THRESHOLD_MAX of glibc: larger pieces are mapped one by one
  ::mallopt(M_MMAP_THRESHOLD, kLargest);
  ::mallopt(M_TRIM_THRESHOLD, 2 * kLargest);
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_TOP_PAD, 1 << 20);
}

void touch_heap(size_t bytes) {
  // Many small pieces, as they will be asked for: one large piece could come from elsewhere.
  constexpr size_t kPiece = 32 << 10;
  std::vector<std::unique_ptr<char[]>> pieces;
  for (size_t at = 0; at < bytes; at += kPiece) {
    pieces.push_back(std::make_unique_for_overwrite<char[]>(kPiece));
    for (size_t byte = 0; byte < kPiece; byte += kPage) static_cast<volatile char*>(pieces.back().get())[byte] = 0;
  }
}

void touch_stack(size_t bytes) {
  auto* room = static_cast<volatile char*>(alloca(bytes));
  for (size_t at = 0; at < bytes; at += kPage) room[bytes - 1 - at] = 0;
}

size_t peak_memory_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) << 10;
}

void populate_code() { ::dl_iterate_phdr(populate_object, nullptr); }

}  // namespace godwit::sys
