// Protection keys: which of them a process has allocated. Each mapping says which one it has; what a thread may do with
// memory of a key is in its register PKRU, which moves with the others. Source: pkeys(7), Linux
// arch/x86/include/asm/pkeys.h, arch/x86/mm/pkeys.c (__execute_only_pkey).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/result.h"
#include "freeze/call_batch.h"
#include "godwit/image.pb.h"

namespace godwit::address_space {

constexpr uint32_t kProtectionKeys = 16;  // key 0 is everybody's

// A set of keys as image.AddressSpace.protection_keys has it: bit n for key n, and bit 16 + n when the kernel allocated
// it by itself, for memory that may only be executed.
uint32_t keys_in_use(const image::AddressSpace& space);
uint32_t key_set(uint32_t allocated, int execute_only);
// Whether the kernel gives the mapping its key, as long as the process has these.
bool is_execute_only(const image::Mapping& mapping, uint32_t keys);

// Makes a process that has `have` have `wanted`. Returns the calls of the batch that must have returned these keys.
// Errors: corrupt for an impossible set, retry when the kernel's own key would have to be another one.
using KeyCalls = std::vector<std::pair<size_t, uint32_t>>;
Result<KeyCalls> add_key_calls(freeze::CallBatch& batch, uint32_t have, uint32_t wanted);

}  // namespace godwit::address_space
