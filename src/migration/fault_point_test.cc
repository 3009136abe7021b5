#include "migration/fault_point.h"

#include <gtest/gtest.h>

namespace godwit::migration {
namespace {

TEST(FaultPoint, EveryNameIsUnderstoodAndDifferent) {
  auto names = fault_names();
  EXPECT_EQ(names.size(), 38u);
  for (size_t i = 0; i < names.size(); ++i) {
    auto fault = parse_fault(names[i]);
    ASSERT_TRUE(fault && *fault) << names[i];
    for (size_t j = 0; j < i; ++j) EXPECT_NE(names[i], names[j]);
  }
}

TEST(FaultPoint, NoneWhenNotAskedForAndAnErrorWhenUnknown) {
  EXPECT_FALSE((*parse_fault("")).has_value());
  EXPECT_FALSE(parse_fault("source.nowhere.kill"));
}

}  // namespace
}  // namespace godwit::migration
