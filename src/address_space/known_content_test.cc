#include "address_space/known_content.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "base/unique_fd.h"
#include "sys/file.h"

namespace godwit::address_space {
namespace {

constexpr size_t kPage = PageHasher::kPageBytes;
constexpr double kSlowLink = 1e-3;  // seconds a page

// Pages of this very process, which is where the source would look for them.
class Pages {
 public:
  explicit Pages(size_t count) : bytes_(count * kPage) {}
  void fill(size_t page, uint64_t with) {
    for (size_t i = 0; i < kPage; i += sizeof with) {
      uint64_t word = (with + 1) * 0x9e3779b97f4a7c15 + i;
      std::memcpy(&bytes_[page * kPage + i], &word, sizeof word);
    }
  }
  KnownContent::Page at(size_t page) const { return std::span(bytes_).subspan(page * kPage).first<kPage>(); }
  KnownContent::Place place(size_t page) const {
    return {PageOwner::process(7), ::getpid(), reinterpret_cast<uint64_t>(&bytes_[page * kPage])};
  }
  std::optional<PageReference> find(KnownContent& known, size_t page, double link = kSlowLink) const {
    return known.find(place(page), at(page), link);
  }

 private:
  std::vector<std::byte> bytes_;
};

uint64_t beginning(KnownContent::Page page) {
  sys::Sha256 digest = sys::sha256_digest(page);
  uint64_t value;
  std::memcpy(&value, digest.data(), sizeof value);
  return value;
}

TEST(KnownContent, RefersToWhereItWasSentBefore) {
  Pages pages(3);
  pages.fill(0, 1);
  pages.fill(1, 2);
  pages.fill(2, 1);
  auto known = KnownContent::create();
  ASSERT_TRUE(known);
  EXPECT_FALSE(pages.find(*known, 0));
  EXPECT_FALSE(pages.find(*known, 1));
  auto reference = pages.find(*known, 2);
  ASSERT_TRUE(reference);
  EXPECT_EQ(reference->owner, PageOwner::process(7));
  EXPECT_EQ(reference->at, pages.place(0).at);
  EXPECT_TRUE(reference->matches(pages.at(2)));
}

TEST(KnownContent, NotToWhatWasWrittenToSince) {
  Pages pages(2);
  pages.fill(0, 1);
  pages.fill(1, 1);
  auto known = KnownContent::create();
  ASSERT_TRUE(known);
  EXPECT_FALSE(pages.find(*known, 0));
  pages.fill(0, 2);
  EXPECT_FALSE(pages.find(*known, 1));
}

TEST(KnownContent, RefersToAMemoryObjectAndFromIt) {
  Pages pages(2);
  pages.fill(0, 1);
  pages.fill(1, 2);
  UniqueFd object(::memfd_create("object", MFD_CLOEXEC));
  ASSERT_TRUE(sys::write_at(object.get(), 3 * kPage, pages.at(0)));
  auto known = KnownContent::create();
  ASSERT_TRUE(known);
  KnownContent::Place place{PageOwner::object(5), object.get(), 3 * kPage};
  EXPECT_FALSE(known->find(place, pages.at(0), kSlowLink));
  auto reference = pages.find(*known, 0);
  ASSERT_TRUE(reference);
  EXPECT_EQ(reference->owner, PageOwner::object(5));
  EXPECT_EQ(reference->at, 3 * kPage);
  EXPECT_FALSE(pages.find(*known, 1));
  reference = known->find(place, pages.at(1), kSlowLink);
  ASSERT_TRUE(reference);
  EXPECT_EQ(reference->owner, PageOwner::process(7));
  ASSERT_TRUE(sys::write_at(object.get(), 3 * kPage, pages.at(1)));
  EXPECT_FALSE(pages.find(*known, 0));
}

TEST(KnownContent, LooksForNothingWhereTheLinkIsFasterThanTheHash) {
  Pages pages(2);
  pages.fill(0, 1);
  pages.fill(1, 1);
  auto known = KnownContent::create();
  ASSERT_TRUE(known);
  EXPECT_FALSE(pages.find(*known, 0, 1e-9));
  EXPECT_FALSE(pages.find(*known, 1, 1e-9));
}

TEST(KnownContent, GoesOnFindingPairsAfterLookingInVain) {
  constexpr size_t kDifferent = 2000, kPairs = 3000;
  Pages pages(kDifferent + kPairs);
  for (size_t i = 0; i < kDifferent; ++i) pages.fill(i, i);
  for (size_t i = 0; i < kPairs; ++i) pages.fill(kDifferent + i, i % 1000 + 10000);
  auto known = KnownContent::create();
  ASSERT_TRUE(known);
  size_t found = 0;
  for (size_t i = 0; i < kDifferent + kPairs; ++i) found += pages.find(*known, i) ? 1 : 0;
  EXPECT_GT(found, kPairs / 4);
}

TEST(KnownContent, RefersToTheCacheByNumber) {
  Pages pages(4);
  for (size_t i = 0; i < 4; ++i) pages.fill(i, i);
  auto known = KnownContent::create();
  ASSERT_TRUE(known);
  known->set_cached({beginning(pages.at(3)), beginning(pages.at(1)), beginning(pages.at(2))});
  EXPECT_FALSE(pages.find(*known, 0));
  for (auto [page, number] : {std::pair{1, 1}, {2, 2}, {3, 0}}) {
    auto reference = pages.find(*known, static_cast<size_t>(page));
    ASSERT_TRUE(reference);
    EXPECT_TRUE(reference->is_cached());
    EXPECT_EQ(reference->at, static_cast<uint64_t>(number));
    EXPECT_TRUE(reference->matches(pages.at(static_cast<size_t>(page))));
  }
}

}  // namespace
}  // namespace godwit::address_space
