#include "cli/node_setup.h"

#include <gtest/gtest.h>

namespace godwit::cli {
namespace {

TEST(NodeSetup, SettingsReplaceOrComeInFront) {
  EXPECT_EQ(with_setting("", "node", "a"), "node = \"a\"\n");
  EXPECT_EQ(with_setting("port = 1\n", "node", "a"), "node = \"a\"\nport = 1\n");
  EXPECT_EQ(with_setting("port = 1\nnode = \"b\"  # old\nx = 2\n", "node", "a"), "port = 1\nnode = \"a\"\nx = 2\n");
  EXPECT_EQ(with_setting("# the name\n#node = \"host\"\nx = 2", "node", "a"), "# the name\nnode = \"a\"\nx = 2");
  EXPECT_EQ(with_setting("# node = \"b\"\nnode = \"c\"", "node", "a"), "# node = \"b\"\nnode = \"a\"\n");
  EXPECT_EQ(with_setting("nodes = \"b\"\n", "node", "a"), "node = \"a\"\nnodes = \"b\"\n");
}

TEST(NodeSetup, AddressesWithAndWithoutAPort) {
  using Pair = std::pair<std::string, uint16_t>;
  EXPECT_EQ(host_and_port("node1").value(), Pair("node1", 7708));
  EXPECT_EQ(host_and_port("10.0.0.1:99").value(), Pair("10.0.0.1", 99));
  EXPECT_EQ(host_and_port("fd00::1").value(), Pair("fd00::1", 7708));
  EXPECT_EQ(host_and_port("[fd00::1]:99").value(), Pair("fd00::1", 99));
  EXPECT_EQ(host_and_port("[fd00::1]").value(), Pair("fd00::1", 7708));
  for (const char* bad : {"", ":1", "a:", "a:0", "a:x", "a:70000", "[::1", "[::1]x", "[::1]:"})
    EXPECT_FALSE(host_and_port(bad)) << bad;
}

TEST(NodeSetup, NamesAndAddressesAreChecked) {
  EXPECT_EQ(node_name("node-1").value(), "node-1");
  EXPECT_FALSE(node_name("a\"b"));
  EXPECT_EQ(node_address("10.0.0.1").value(), "10.0.0.1");
  EXPECT_FALSE(node_address("10.0.0.1\""));
}

}  // namespace
}  // namespace godwit::cli
