#include "migration/compatibility.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

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

image::Mapping pool_mapping(uint64_t pages, uint32_t flags) {
  constexpr uint64_t kPage = 2 << 20;
  image::Mapping mapping;
  mapping.set_start(kPage);
  mapping.set_end(kPage + pages * kPage);
  mapping.set_flags(flags);
  mapping.set_page_bytes(kPage);
  return mapping;
}

TEST(PoolShortages, PrivateMappingsAndObjectsAreCountedOnce) {
  image::LogicalHost plan;
  image::AddressSpace& space = *plan.add_processes()->mutable_address_space();
  *space.add_mappings() = pool_mapping(3, MAP_PRIVATE);
  *space.add_mappings() = pool_mapping(1000, MAP_PRIVATE | MAP_NORESERVE);
  *space.add_mappings() = pool_mapping(2, MAP_SHARED);  // shows the object
  image::SharedMemory& object = *plan.add_shared_memory();
  object.set_page_bytes(2 << 20);
  object.set_size(4 << 20);
  EXPECT_TRUE(pool_shortages(plan, {}, [](uint64_t) { return std::optional<uint64_t>(5); }).empty());
  auto refused = pool_shortages(plan, {}, [](uint64_t) { return std::optional<uint64_t>(4); });
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].code(), "memory.hugetlb");
  EXPECT_EQ(refused[0].what(), "5 huge pages of 2 MiB, of which the destination has 4 left");
}

TEST(PoolShortages, FilesThatAreThereAlreadyNeedNothing) {
  image::LogicalHost plan;
  image::SharedMemory& object = *plan.add_shared_memory();
  object.set_kind(image::SharedMemory::POOL_FILE);
  object.set_page_bytes(2 << 20);
  object.set_size(4 << 20);
  object.set_file(7);
  auto none = [](uint64_t) { return std::optional<uint64_t>(0); };
  EXPECT_EQ(pool_shortages(plan, {}, none).size(), 1u);
  EXPECT_TRUE(pool_shortages(plan, {7}, none).empty());
}

TEST(PoolShortages, AKernelMayHaveNoPagesOfThatSize) {
  image::LogicalHost plan;
  *plan.add_processes()->mutable_address_space()->add_mappings() = pool_mapping(1, MAP_PRIVATE);
  EXPECT_EQ(pool_shortages(plan, {}, [](uint64_t) { return std::optional<uint64_t>(); }).size(), 1u);
  EXPECT_TRUE(pool_shortages({}, {}, [](uint64_t) { return std::optional<uint64_t>(); }).empty());
}

}  // namespace
}  // namespace godwit::migration
