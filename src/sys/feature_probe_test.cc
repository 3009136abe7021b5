#include "sys/feature_probe.h"

#include <gtest/gtest.h>

namespace godwit::sys {
namespace {

TEST(FeatureProbe, OnlyAMissingRequiredFeatureForbidsMoving) {
  Feature required{.name = "a", .title = "", .need = Need::required, .present = true, .detail = "", .lost = ""};
  Feature optional{.name = "b", .title = "", .need = Need::optional, .present = false, .detail = "", .lost = ""};
  EXPECT_TRUE(can_move({required, optional}));
  required.present = false;
  EXPECT_FALSE(can_move({required, optional}));
}

}  // namespace
}  // namespace godwit::sys
