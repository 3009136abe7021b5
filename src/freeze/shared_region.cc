#include "freeze/shared_region.h"

#include <sys/mman.h>

#include <utility>

#include "sys/errno.h"
#include "sys/memory_object.h"

namespace godwit::freeze {

Result<SharedRegion> SharedRegion::create(size_t bytes) {
  UniqueFd memory = TRY(sys::make_memfd("godwit-batches", false, bytes));
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (at == MAP_FAILED) return sys::last_error("mmap", "a region shared with a skeleton");
  return SharedRegion(std::move(memory), {static_cast<std::byte*>(at), bytes});
}

SharedRegion::SharedRegion(SharedRegion&& other) noexcept
    : memory_(std::move(other.memory_)), bytes_(std::exchange(other.bytes_, {})) {}

SharedRegion::~SharedRegion() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace godwit::freeze
