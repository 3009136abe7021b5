#include "address_space/present_pages.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <future>

#include "address_space/page_shortcuts.h"
#include "transport/certificates.h"

namespace godwit::address_space {
namespace {

using transport::Connection;
using transport::FrameType;

constexpr double kSlowLink = 1e-3;  // seconds a page
constexpr pid_t kPid = 7;
constexpr size_t kPages = 8;

// Both ends of a connection; the destination's memory is `there_`, at the addresses of `here_`.
class PresentPagesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string path = testing::TempDir() + "present-pages-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    directory_ = path;
    ASSERT_TRUE(transport::create_authority(directory_ + "/ca"));
    for (std::string node : {"node1", "node2"}) {
      ASSERT_TRUE(transport::issue_node_certificate(directory_ + "/ca", directory_ + "/" + node, node, {}));
    }
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(directory_); }

  void SetUp() override {
    auto listener = transport::Listener::bind("127.0.0.1");
    ASSERT_TRUE(listener);
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    std::string token(transport::kTokenBytes, 't');
    auto client = std::async(std::launch::async, [&] {
      return Connection::connect("127.0.0.1", listener->port(), transport::tls_files_in(directory_ + "/node1"), "node2",
                                 token, deadline);
    });
    auto server = listener->accept(transport::tls_files_in(directory_ + "/node2"), "node1", token, deadline);
    auto connected = client.get();
    ASSERT_TRUE(server && connected);
    source_.emplace(std::move(*connected));
    destination_.emplace(std::move(*server));
    auto shortcuts = PageShortcuts::create();
    ASSERT_TRUE(shortcuts);
    shortcuts_ = std::move(*shortcuts);
    for (size_t page = 0; page < kPages; ++page) fill(page, page);
  }

  void fill(size_t page, uint64_t with) {
    for (size_t i = 0; i < kPageBytes; i += sizeof with) {
      uint64_t word = (with + 1) * 0x9e3779b97f4a7c15 + i;
      std::memcpy(&here_[page * kPageBytes + i], &word, sizeof word);
    }
  }
  uint64_t address(size_t page) const { return reinterpret_cast<uint64_t>(here_.data()) + page * kPageBytes; }
  // False: it would be sent whole, and is put there at once.
  bool take(size_t page, bool running = true) {
    auto content = std::span<const std::byte>(here_).subspan(page * kPageBytes).first<kPageBytes>();
    bool taken = shortcuts_->take({{::getpid(), kPid, address(page)}, true, content}, running, kSlowLink);
    if (!taken) std::ranges::copy(content, there_.begin() + static_cast<ptrdiff_t>(page * kPageBytes));
    return taken;
  }
  Result<void> receive() {
    transport::FrameHeader header = TRY(destination_->receive_header());
    PagesFrame frame = TRY(receive_head(*destination_, header.length));
    std::vector<std::byte> content(TRY(bytes_of_pages(frame)));
    TRY(present_.receive(header.type, *destination_, frame, content, [] { return Result<void>(); }));
    size_t from = 0;
    for (const sys::AddressRange& range : frame.ranges) {
      std::memcpy(&there_[range.start - address(0)], &content[from], range.size());
      from += range.size();
    }
    return {};
  }
  Result<void> send_and_receive() {
    TRY(shortcuts_->send_gathered(kPid, *source_));
    TRY(source_->flush());
    return receive();
  }
  ErrorKind answer_to(FrameType type, std::span<const sys::AddressRange> ranges, std::span<const std::byte> body) {
    EXPECT_TRUE(source_->send(type, encode_head(kPid, ranges), body));
    EXPECT_TRUE(source_->flush());
    auto received = receive();
    return received ? ErrorKind::bug : received.error().kind;
  }

  static std::string directory_;
  std::optional<Connection> source_, destination_;
  std::unique_ptr<PageShortcuts> shortcuts_;
  struct alignas(kPageBytes) Memory {
    std::array<std::byte, kPages * kPageBytes> bytes{};
  };
  std::unique_ptr<Memory> memory_ = std::make_unique<Memory>();
  std::span<std::byte> here_{memory_->bytes};
  std::vector<std::byte> there_ = std::vector<std::byte>(kPages * kPageBytes);
  PresentPages present_{[this](pid_t pid, uint64_t at, std::span<std::byte> into) -> Result<void> {
                          bool inside = pid == kPid && at >= address(0) && at + into.size() <= address(kPages);
                          if (!inside) return error(ErrorKind::gone, "not there");
                          std::memcpy(into.data(), &there_[at - address(0)], into.size());
                          return {};
                        },
                        std::nullopt};
};
std::string PresentPagesTest::directory_;

TEST_F(PresentPagesTest, FindsWhatItIsReferredTo) {
  fill(3, 1);
  for (size_t page = 0; page < 3; ++page) EXPECT_FALSE(take(page));
  EXPECT_TRUE(take(3));
  auto sent = send_and_receive();
  ASSERT_TRUE(sent) << sent.error().message();
  EXPECT_TRUE(std::equal(here_.begin(), here_.begin() + 4 * kPageBytes, there_.begin()));
  EXPECT_FALSE(present_.lacks());
}

TEST_F(PresentPagesTest, TellsWhatIsNotThereAnyMore) {
  fill(3, 1);
  EXPECT_FALSE(take(1));
  there_[kPageBytes + 5] ^= std::byte{1};
  EXPECT_TRUE(take(3));
  auto sent = send_and_receive();
  ASSERT_TRUE(sent) << sent.error().message();
  EXPECT_TRUE(present_.lacks());
  EXPECT_EQ(there_[3 * kPageBytes], std::byte{0});
  ASSERT_TRUE(present_.tell_lacking(*destination_));
  ASSERT_TRUE(destination_->flush());
  auto header = source_->receive_header();
  ASSERT_TRUE(header);
  EXPECT_EQ(header->type, FrameType::known_pages);
  auto lacking = receive_head(*source_, header->length);
  ASSERT_TRUE(lacking);
  EXPECT_EQ(lacking->ranges, (std::vector<sys::AddressRange>{{address(3), address(4)}}));
  EXPECT_FALSE(present_.lacks());
}

TEST_F(PresentPagesTest, DifferencesMakeThePage) {
  shortcuts_->next_round();
  EXPECT_FALSE(take(0) || take(1) || take(5));
  shortcuts_->next_round();
  for (size_t page : {0, 1, 5}) here_[page * kPageBytes + 77] ^= std::byte{9};
  EXPECT_TRUE(take(0) && take(1));
  EXPECT_TRUE(take(5, false));
  auto sent = send_and_receive();
  ASSERT_TRUE(sent) << sent.error().message();
  for (size_t page : {0, 1, 5}) {
    EXPECT_EQ(std::memcmp(&here_[page * kPageBytes], &there_[page * kPageBytes], kPageBytes), 0) << page;
  }
  EXPECT_EQ(shortcuts_->counts().by_delta, 3U);
  EXPECT_LT(shortcuts_->counts().delta_bytes, 300U);
}

TEST_F(PresentPagesTest, DifferencesOfSomethingElseAreAnError) {
  shortcuts_->next_round();
  EXPECT_FALSE(take(0));
  shortcuts_->next_round();
  here_[77] ^= std::byte{9};
  there_[1000] ^= std::byte{1};
  EXPECT_TRUE(take(0));
  auto received = send_and_receive();
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().kind, ErrorKind::corrupt);
}

TEST_F(PresentPagesTest, LengthsOfAPeerAreChecked) {
  const sys::AddressRange page{address(0), address(1)};
  std::vector<std::byte> body(sizeof(PageReference) + 1);
  EXPECT_EQ(answer_to(FrameType::known_pages, std::span(&page, 1), body), ErrorKind::corrupt);
}

TEST_F(PresentPagesTest, DifferencesOfAWrongLengthAreAnError) {
  const sys::AddressRange page{address(0), address(1)};
  std::vector<std::byte> body(16 + kPageBytes - 1);  // not compressed, and a byte short
  EXPECT_EQ(answer_to(FrameType::delta_pages, std::span(&page, 1), body), ErrorKind::corrupt);
}

TEST_F(PresentPagesTest, AReferenceToTheCacheWhereThereIsNoneIsLacking) {
  const sys::AddressRange page{address(0), address(1)};
  PageReference reference{.at = ~uint64_t{0}};
  EXPECT_EQ(answer_to(FrameType::known_pages, std::span(&page, 1), std::as_bytes(std::span(&reference, 1))),
            ErrorKind::bug);
  EXPECT_TRUE(present_.lacks());
}

}  // namespace
}  // namespace godwit::address_space
