#include "lab/record.h"

#include <gtest/gtest.h>

#include "lab/lab.h"

namespace godwit::lab {
namespace {

TEST(LabNameTest, IsOneDirectoryAndNoOption) {
  for (const char* name : {"lab", "a-1_B"}) EXPECT_TRUE(valid_lab_name(name)) << name;
  for (const char* name : {"", "..", "a/b", "-x", "a b", "a.b"}) EXPECT_FALSE(valid_lab_name(name)) << name;
  EXPECT_FALSE(valid_lab_name(std::string(33, 'a')));
}

TEST(LabRecordTest, NodesHaveNamesAndAddresses) {
  Record record;
  record.number = 3;
  record.nodes = 12;
  EXPECT_EQ(node_name(12), "node12");
  EXPECT_EQ(node_address(record, 12), "10.77.3.12");
  EXPECT_EQ(node_number(record, "node12"), 12u);
  record.routed = true;
  EXPECT_EQ(node_address(record, 1) + " " + router_address(record, 1), "10.77.3.2 10.77.3.1");
  EXPECT_EQ(node_address(record, 64) + " " + router_address(record, 64), "10.77.3.254 10.77.3.253");
  for (const char* name : {"node0", "node13", "node", "node1x", "1", ""})
    EXPECT_EQ(node_number(record, name), 0u) << name;
}

}  // namespace
}  // namespace godwit::lab
