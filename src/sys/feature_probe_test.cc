#include "sys/feature_probe.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace godwit::sys {
namespace {

TEST(FeatureProbe, OnlyAMissingRequiredFeatureForbidsMoving) {
  Feature required{.name = "a", .title = "", .need = Need::required, .present = true, .detail = "", .lost = ""};
  Feature optional{.name = "b", .title = "", .need = Need::optional, .present = false, .detail = "", .lost = ""};
  EXPECT_TRUE(can_move({required, optional}));
  required.present = false;
  EXPECT_FALSE(can_move({required, optional}));
}

TEST(FeatureProbe, ToldIsWhatIsLeftWithoutWriteTracking) {
  auto features = probe_features();
  auto find = [&](std::string_view name) { return std::ranges::find(features, name, &Feature::name); };
  auto tracking = find("userfaultfd_wp_async"), scanning = find("pagemap_scan");
  ASSERT_TRUE(tracking != features.end() && scanning != features.end());
  EXPECT_EQ(tracking->need, Need::optional);
  EXPECT_EQ(scanning->need, Need::required);
  EXPECT_NE(tracking->lost.find("soft-dirty"), std::string::npos);
  EXPECT_NE(tracking->lost.find("only total freezing works"), std::string::npos);
}

}  // namespace
}  // namespace godwit::sys
