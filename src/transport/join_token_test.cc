#include "transport/join_token.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace godwit::transport {
namespace {

using namespace std::chrono_literals;

class JoinTokenTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "join-token-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    directory_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string make(WallTime expiry) {
    auto token = create_join_token(directory_, fingerprint_, now_, expiry);
    EXPECT_TRUE(token);
    return token.value_or("");
  }
  std::string directory_;
  const std::string fingerprint_ = std::string(32, '\xf7');
  const WallTime now_ = WallTime(1'800'000'000s);
};

TEST_F(JoinTokenTest, CarriesTheFingerprint) {
  auto text = make(now_ + 1h);
  EXPECT_EQ(text.size(), 88u);
  EXPECT_EQ(text.find_first_of("+/="), std::string::npos);
  auto token = parse_join_token(text);
  ASSERT_TRUE(token);
  EXPECT_EQ(token->authority_fingerprint, fingerprint_);
}

TEST_F(JoinTokenTest, WorksOnce) {
  auto text = make(now_ + 1h);
  EXPECT_TRUE(redeem_join_token(directory_, text, now_));
  auto again = redeem_join_token(directory_, text, now_);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, ErrorKind::denied);
}

TEST_F(JoinTokenTest, Expires) {
  auto text = make(now_ + 1h);
  EXPECT_FALSE(redeem_join_token(directory_, text, now_ + 1h));
}

TEST_F(JoinTokenTest, TheSecretIsNotStored) {
  auto token = parse_join_token(make(now_ + 1h));
  ASSERT_TRUE(token);
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    EXPECT_EQ(entry.path().filename().string().size(), 64u);
    EXPECT_LT(entry.file_size(), 32u);
  }
}

TEST_F(JoinTokenTest, ExpiredOnesAreRemovedWhenANewOneIsMade) {
  (void)make(now_);
  (void)make(now_ + 1h);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
}

TEST_F(JoinTokenTest, RefusesMistypedAndForeignText) {
  auto text = make(now_ + 1h);
  text[5] = text[5] == 'A' ? 'B' : 'A';
  for (const std::string& wrong :
       {text, std::string(), std::string(88, '='), std::string(88, '\n'), std::string(1000, 'A')}) {
    auto token = parse_join_token(wrong);
    ASSERT_FALSE(token);
    EXPECT_EQ(token.error().kind, ErrorKind::corrupt);
  }
}

}  // namespace
}  // namespace godwit::transport
