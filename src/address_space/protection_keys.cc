#include "address_space/protection_keys.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <bit>

#include "address_space/page_stream.h"

namespace godwit::address_space {

namespace {

constexpr uint32_t kAll = 0xffff;

uint32_t allocated(uint32_t keys) { return keys & kAll & ~1u; }
uint32_t kernels_own(uint32_t keys) { return keys >> kProtectionKeys; }

// The kernel allocates the lowest free key when a process first maps memory that may only be executed.
void add_kernels_own(freeze::CallBatch& batch) {
  size_t made = batch.add(SYS_mmap, {0, kPageBytes, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, ~uint64_t{0}, 0});
  batch.add_using(SYS_munmap, {0, kPageBytes}, 0, made);
}

}  // namespace

uint32_t key_set(uint32_t keys, int execute_only) {
  uint32_t own = execute_only > 0 ? 1u << execute_only : 0;
  return allocated(keys | own) | own << kProtectionKeys;
}

uint32_t keys_in_use(const image::AddressSpace& space) {
  uint32_t keys = 0;
  int execute_only = -1;
  for (const image::Mapping& mapping : space.mappings()) {
    keys |= 1u << (mapping.protection_key() % kProtectionKeys);
    bool kernels = mapping.protection() == PROT_EXEC && mapping.protection_key() != 0;
    if (kernels) execute_only = static_cast<int>(mapping.protection_key() % kProtectionKeys);
  }
  return key_set(keys, execute_only);
}

bool is_execute_only(const image::Mapping& mapping, uint32_t keys) {
  return mapping.protection() == PROT_EXEC && (kernels_own(keys) >> mapping.protection_key() & 1) != 0;
}

Result<KeyCalls> add_key_calls(freeze::CallBatch& batch, uint32_t have, uint32_t wanted) {
  uint32_t own = kernels_own(wanted);
  bool possible = std::popcount(own) <= 1 && (own & ~allocated(wanted)) == 0 && (wanted & 1) == 0;
  if (!possible) return error(ErrorKind::corrupt, "an impossible set of protection keys");
  if (kernels_own(have) != 0 && kernels_own(have) != own) {
    return error(ErrorKind::retry, "the key of memory that may only be executed became another one");
  }
  uint32_t now = allocated(have);
  KeyCalls calls;
  // Each call gets the lowest that is free: those between are taken too, and given back.
  for (uint32_t key = 1; key < kProtectionKeys && (allocated(wanted) & ~now) != 0; ++key) {
    uint32_t bit = 1u << key;
    if ((now & bit) != 0) continue;
    now |= bit;
    if (own == bit) {
      add_kernels_own(batch);
    } else {
      calls.emplace_back(batch.add(SYS_pkey_alloc, {0, 0}), key);
    }
  }
  for (uint32_t key = 1; key < kProtectionKeys; ++key) {
    if ((now & ~allocated(wanted) & 1u << key) != 0) batch.add(SYS_pkey_free, {key});
  }
  return calls;
}

}  // namespace godwit::address_space
