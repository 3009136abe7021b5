#include "address_space/protection_keys.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

namespace godwit::address_space {
namespace {

freeze::CallBatch batch() { return freeze::CallBatch(freeze::RemoteAddress{0x100000}); }

image::Mapping mapping(uint32_t protection, uint32_t key) {
  image::Mapping mapping;
  mapping.set_protection(protection);
  mapping.set_protection_key(key);
  return mapping;
}

TEST(ProtectionKeys, KeyZeroIsNobodysAndTheKernelsOwnIsAllocated) {
  EXPECT_EQ(key_set(0b1011, -1), 0b1010u);
  EXPECT_EQ(key_set(0b0011, 2), 0b0110u | 1u << 18);
  image::AddressSpace space;
  *space.add_mappings() = mapping(PROT_READ, 0);
  *space.add_mappings() = mapping(PROT_READ, 3);
  *space.add_mappings() = mapping(PROT_EXEC, 1);
  EXPECT_EQ(keys_in_use(space), key_set(0b1000, 1));
  EXPECT_TRUE(is_execute_only(space.mappings(2), keys_in_use(space)));
  EXPECT_FALSE(is_execute_only(space.mappings(1), keys_in_use(space)));
}

TEST(ProtectionKeys, ThoseBelowAreTakenOnTheWayAndGivenBack) {
  auto calls = batch();
  auto made = add_key_calls(calls, 0, key_set(1 << 3, -1));
  ASSERT_TRUE(made);
  EXPECT_EQ(*made, (KeyCalls{{0, 1}, {1, 2}, {2, 3}}));
  EXPECT_EQ(calls.size(), 5u);  // 1 and 2 are freed
}

TEST(ProtectionKeys, TheKernelsOwnIsNotAskedFor) {
  auto calls = batch();
  auto made = add_key_calls(calls, 0, key_set(1 << 1, 2));
  ASSERT_TRUE(made);
  EXPECT_EQ(*made, (KeyCalls{{0, 1}}));
  EXPECT_EQ(calls.size(), 3u);  // it comes with a mapping that is removed again
}

TEST(ProtectionKeys, WhatIsThereStays) {
  auto calls = batch();
  auto made = add_key_calls(calls, key_set(0b0110, -1), key_set(0b1010, -1));
  ASSERT_TRUE(made);
  EXPECT_EQ(*made, (KeyCalls{{0, 3}}));
  EXPECT_EQ(calls.size(), 2u);
}

TEST(ProtectionKeys, ImpossibleSetsAreRefused) {
  auto calls = batch();
  EXPECT_EQ(add_key_calls(calls, 0, 1).error().kind, ErrorKind::corrupt);
  EXPECT_EQ(add_key_calls(calls, 0, 0b110u << 16 | 0b110).error().kind, ErrorKind::corrupt);
  EXPECT_EQ(add_key_calls(calls, 0, 1u << 17).error().kind, ErrorKind::corrupt);
  EXPECT_EQ(add_key_calls(calls, key_set(0, 1), key_set(0, 2)).error().kind, ErrorKind::retry);
}

}  // namespace
}  // namespace godwit::address_space
