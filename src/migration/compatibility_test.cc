#include "migration/compatibility.h"

#include <gtest/gtest.h>

namespace godwit::migration {
namespace {

class Compatibility : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(describe_this_node(here_)); }
  std::vector<std::string> codes(const wire::Offer& source) {
    std::vector<std::string> codes;
    for (const auto& refusal : incompatibilities(here_, source)) codes.push_back(refusal.code());
    return codes;
  }
  wire::Offer here_;
};

TEST_F(Compatibility, ANodeSuitsItself) {
  EXPECT_EQ(here_.vdso_sha256().size(), 32u);
  EXPECT_GE(here_.xsave_size(), 512u);
  EXPECT_TRUE(codes(here_).empty());
}

TEST_F(Compatibility, AllReasonsAreToldAtOnce) {
  wire::Offer source = here_;
  source.set_vdso_sha256("other");
  source.set_xfeatures(here_.xfeatures() | uint64_t{1} << 60);
  std::string more = here_.cpuid();
  for (char& byte : more) byte = '\xff';
  source.set_cpuid(more);
  EXPECT_EQ(codes(source), (std::vector<std::string>{"node.vdso", "node.processor_state", "node.instruction_set"}));
}

TEST_F(Compatibility, ANewerProcessorIsFine) {
  wire::Offer source = here_;
  source.set_xfeatures(3);
  source.set_cpuid(std::string(here_.cpuid().size(), '\0'));
  EXPECT_TRUE(codes(source).empty());
}

}  // namespace
}  // namespace godwit::migration
