#include "forwarding/message_counters.h"

#include <gtest/gtest.h>

namespace godwit::forwarding {
namespace {

// As nft 1.0.6 lists it on Linux 6.18.
constexpr char kListing[] = R"(table inet godwit {
	set waited {
		typeof ip daddr
		size 65535
		flags dynamic
		elements = { 100.64.16.1 counter packets 3 bytes 252, 100.64.32.2 counter packets 1 bytes 84 }
	}

	set dropping {
		typeof ip daddr
		size 65535
		elements = { 100.64.16.1 }
	}

	set passed {
		typeof ip daddr
		size 65535
		flags dynamic
		elements = { 100.64.16.1 counter packets 40 bytes 252,
			     10.0.0.1 counter packets 1 bytes 84 }
	}

	set passed6 {
		typeof ip6 daddr
		size 65535
		flags dynamic
		elements = { fd67:6f64:7769:1::1 counter packets 2 bytes 252 }
	}

	chain out {
		type filter hook postrouting priority 300; policy accept;
		oifname "gwwait0" ip daddr 100.64.0.0/10 update @waited { ip daddr counter packets 77 }
	}
}
)";

TEST(MessageCountersTest, AreReadFromTheListing) {
  auto counts = parse_message_counters(kListing);
  ASSERT_EQ(counts.size(), 2u);
  const MessageCounts& first = counts[VirtualAddress::of(1, 1).code];
  EXPECT_EQ(first.waited, 3u);
  EXPECT_EQ(first.passed, 42u);
  EXPECT_EQ(first.dropped, 0u);
  EXPECT_EQ(counts[VirtualAddress::of(2, 2).code].waited, 1u);
}

TEST(MessageCountersTest, NonsenseCountsNothing) {
  EXPECT_TRUE(parse_message_counters("").empty());
  EXPECT_TRUE(parse_message_counters("set waited { elements = { 100.64.16.1 counter packets").empty());
  EXPECT_TRUE(parse_message_counters("packets 5 100.64.16.1 packets 6").empty());
}

}  // namespace
}  // namespace godwit::forwarding
