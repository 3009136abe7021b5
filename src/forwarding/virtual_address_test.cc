#include "forwarding/virtual_address.h"

#include <gtest/gtest.h>

namespace godwit::forwarding {
namespace {

TEST(VirtualAddressTest, EncodesHomeAndNumber) {
  auto address = VirtualAddress::of(3, 7);
  EXPECT_EQ(sys::to_string(address.version4()), "100.64.48.7");
  EXPECT_EQ(sys::to_string(address.version6()), "fd67:6f64:7769:3::7");
  auto last = VirtualAddress::of(VirtualAddress::kMostNodes, VirtualAddress::kMostNumbers);
  EXPECT_EQ(sys::to_string(last.version4()), "100.127.255.255");
  EXPECT_EQ(sys::to_string(last.version6()), "fd67:6f64:7769:3ff::fff");
}

TEST(VirtualAddressTest, IsReadOffEitherVersion) {
  for (uint32_t node : {1u, 2u, 511u, 1023u}) {
    for (uint32_t number : {1u, 255u, 256u, 4095u}) {
      auto address = VirtualAddress::of(node, number);
      EXPECT_EQ(VirtualAddress::from(address.version4()), address);
      EXPECT_EQ(VirtualAddress::from(address.version6()), address);
    }
  }
}

TEST(VirtualAddressTest, OthersAreNotTakenForOne) {
  for (const char* text :
       {"100.128.0.1", "100.63.255.255", "100.64.0.1", "100.64.16.0", "10.64.16.1", "fd67:6f64:7769::7",
        "fd67:6f64:7769:1::", "fd67:6f64:7769:400::1", "fd67:6f64:7769:1::1000", "fd67:6f64:7769:1:1::1", "fe80::1"}) {
    EXPECT_EQ(VirtualAddress::from(*sys::parse_ip_address(text)), std::nullopt) << text;
  }
}

TEST(VirtualAddressTest, NodesHaveAddressesOfTheirOwn) {
  EXPECT_EQ(sys::to_string(node_address6(2)), "fd67:6f64:7769::2");
}

}  // namespace
}  // namespace godwit::forwarding
