#include "objects/rseq.h"

#include <gtest/gtest.h>

namespace godwit::objects {
namespace {

TEST(AfterAbort, OnlyInsideTheSection) {
  CriticalSection section{0, 0, 0x1000, 0x20, 0x9000};
  EXPECT_EQ(after_abort(section, 0xfff), 0xfffu);
  EXPECT_EQ(after_abort(section, 0x1000), 0x9000u);
  EXPECT_EQ(after_abort(section, 0x101f), 0x9000u);
  EXPECT_EQ(after_abort(section, 0x1020), 0x1020u);
  EXPECT_EQ(after_abort(section, 0), 0u);
}

}  // namespace
}  // namespace godwit::objects
