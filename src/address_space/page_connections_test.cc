// Both ends of further connections, and of post-copy's requests, over TLS on loopback.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <future>
#include <numeric>
#include <random>

#include "address_space/page_server.h"
#include "address_space/page_stream.h"
#include "address_space/receiving_streams.h"
#include "address_space/sending_streams.h"

namespace godwit::address_space {
namespace {

using namespace std::chrono_literals;
using transport::Connection;
using transport::FrameType;

constexpr size_t kSlots = 16;
constexpr size_t kSlotBytes = kChunkBytes / 4;

class PageConnections : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string path = testing::TempDir() + "streams-XXXXXX";
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
    listener_.emplace(std::move(*listener));
    auto client = std::async(std::launch::async, [&] { return connect(5s); });
    auto server = accept();
    auto connected = client.get();
    ASSERT_TRUE(server && connected);
    here_.emplace(std::move(*connected));
    there_.emplace(std::move(*server));
  }

  Result<Connection> connect(std::chrono::milliseconds patience) const {
    return Connection::connect("127.0.0.1", listener_->port(), transport::tls_files_in(directory_ + "/node1"), "node2",
                               std::string(transport::kTokenBytes, 't'), std::chrono::steady_clock::now() + patience);
  }
  Result<Connection> accept() {
    return listener_->accept(transport::tls_files_in(directory_ + "/node2"), "node1",
                             std::string(transport::kTokenBytes, 't'), std::chrono::steady_clock::now() + 5s);
  }
  std::unique_ptr<ReceivingStreams> receive_by(uint32_t wanted) {
    auto streams = ReceivingStreams::start(
        wanted, listener_->fd(), [this] { return accept(); },
        [this](pid_t, auto ranges, auto bytes) { return put(ranges, bytes); });
    EXPECT_TRUE(streams);
    return std::move(*streams);
  }
  Result<void> put(std::span<const sys::AddressRange> ranges, std::span<const std::byte> bytes) {
    content_[ranges[0].start / kSlotBytes] = std::to_integer<int>(bytes[bytes.size() - 1]);
    return {};
  }
  // The destination's main thread, up to a frame memory_end.
  Result<void> follow(ReceivingStreams& streams) {
    auto nothing = [](auto&&...) { return error(ErrorKind::corrupt, "not here"); };
    auto drop = [this](pid_t, std::span<const sys::AddressRange> ranges) -> Result<void> {
      content_[ranges[0].start / kSlotBytes] = 0;
      return {};
    };
    PageReceiver pages(*there_, [this](pid_t, auto ranges, auto bytes) { return put(ranges, bytes); }, nothing, drop);
    for (;;) {
      transport::FrameHeader header = TRY(there_->receive_header());
      if (header.type == FrameType::stream_barrier) {
        TRY(streams.receive_barrier(*there_, header));
      } else if (PageReceiver::takes(header.type)) {
        TRY(pages.receive_pages(header));
      } else {
        TRY(streams.expect_barrier());
        if (header.type == FrameType::memory_end) return {};
        TRY(pages.receive_drop(header.length));
      }
    }
  }
  // Sends content for one slot, by whichever connection is free.
  Result<void> send(SendingStreams& streams, size_t slot, int content) {
    std::fill_n(buffer_.begin(), kSlotBytes, static_cast<std::byte>(content));
    std::array ranges{sys::AddressRange{slot * kSlotBytes, (slot + 1) * kSlotBytes}};
    if (TRY(streams.take({1, PageClass::anonymous, ranges, kSlotBytes}, buffer_))) return {};
    return ChunkSender(*here_).send(1, PageClass::anonymous, ranges, std::span(buffer_).first(kSlotBytes));
  }

  static inline std::string directory_;
  std::optional<transport::Listener> listener_;
  std::optional<Connection> here_, there_;
  std::array<int, kSlots> content_{};
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kChunkBytes);
};

TEST_F(PageConnections, TheLastWordOfEverySlotCounts) {
  constexpr int kRounds = 60;
  auto receiving = receive_by(4);
  SendingStreams sending(*here_, 4, [this] { return connect(5s); });
  auto followed = std::async(std::launch::async, [&] { return follow(*receiving); });
  std::mt19937 random(7);
  std::array<int, kSlots> expected{};
  std::array<size_t, kSlots> order{};
  std::iota(order.begin(), order.end(), size_t{0});
  for (int round = 1; round <= kRounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    for (size_t slot : std::span(order).first(kSlots / 2)) {
      ASSERT_TRUE(send(sending, slot, round));
      expected[slot] = round;
    }
    std::array dropped{sys::AddressRange{order[0] * kSlotBytes, (order[0] + 1) * kSlotBytes}};
    ASSERT_TRUE(sending.order());
    ASSERT_TRUE(here_->send(FrameType::zero_pages, encode_head(1, dropped)));
    expected[order[0]] = 0;
  }
  ASSERT_TRUE(here_->send(FrameType::memory_end) && here_->flush());
  auto outcome = followed.get();
  ASSERT_TRUE(outcome) << outcome.error().message();
  EXPECT_EQ(content_, expected);
  EXPECT_EQ(sending.streams(), 4u);
  EXPECT_GT(sending.bytes_sent(), uint64_t{kSlotBytes});
}

TEST_F(PageConnections, NoMoreThanWereAgreed) {
  auto receiving = receive_by(2);
  SendingStreams sending(*here_, 4, [this] { return connect(500ms); });
  Result<void> sent;
  auto until = std::chrono::steady_clock::now() + 5s;
  while (sent && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(20ms);
    std::array ranges{sys::AddressRange{0, kSlotBytes}};
    auto taken = sending.take({1, PageClass::anonymous, ranges, kSlotBytes}, buffer_);
    if (!taken) sent = std::unexpected(std::move(taken.error()));
  }
  EXPECT_FALSE(sent);
}

TEST_F(PageConnections, ALostConnectionIsTold) {
  auto receiving = receive_by(3);
  SendingStreams sending(*here_, 3, [this] { return connect(5s); });
  auto followed = std::async(std::launch::async, [&] { return follow(*receiving); });
  for (size_t slot = 0; slot < kSlots; ++slot) ASSERT_TRUE(send(sending, slot, 1));
  ASSERT_TRUE(sending.order());
  ASSERT_TRUE(here_->send(FrameType::memory_end) && here_->flush());
  ASSERT_TRUE(followed.get());
  receiving->stop();
  Result<bool> taken = true;
  auto until = std::chrono::steady_clock::now() + 5s;
  while (taken && std::chrono::steady_clock::now() < until) {
    std::array ranges{sys::AddressRange{0, kSlotBytes}};
    taken = sending.take({1, PageClass::anonymous, ranges, kSlotBytes}, buffer_);
    std::this_thread::sleep_for(1ms);
  }
  ASSERT_FALSE(taken);
  EXPECT_FALSE(receiving->receive_barrier(*there_, {FrameType::stream_barrier, 16}));
}

// It has been pushed, and the destination does not have it yet.
TEST_F(PageConnections, APageThatIsOnItsWayComesAloneWhenItIsAskedFor) {
  constexpr pid_t kPid = 7;
  constexpr sys::AddressRange kOwed{0x100000, 0x100000 + 32 * kPageBytes};
  auto client = std::async(std::launch::async, [&] { return connect(5s); });
  auto bulk_there = accept();
  auto bulk_here = client.get();
  ASSERT_TRUE(bulk_there && bulk_here);
  auto made = PageServer::create(std::move(*here_));
  ASSERT_TRUE(made);
  PageServer& server = **made;
  RangeSet pages;
  pages.add(kOwed);
  server.owe(::getpid(), kPid, pages);
  server.read_by([](pid_t, std::span<const sys::AddressRange> ranges, std::span<std::byte> into) -> Result<void> {
    std::ranges::fill(into, std::byte(ranges[0].start / kPageBytes));
    return {};
  });
  server.start();
  ASSERT_TRUE(server.push(*bulk_here, nullptr, [](uint64_t) {}));
  EXPECT_EQ(server.pages_pushed(), kOwed.size() / kPageBytes);

  std::vector<sys::AddressRange> came;
  auto nothing = [](auto&&...) { return error(ErrorKind::corrupt, "not here"); };
  auto note = [&](pid_t, auto ranges, auto bytes) -> Result<void> {
    EXPECT_EQ(bytes[0], std::byte(ranges[0].start / kPageBytes));
    came.insert(came.end(), ranges.begin(), ranges.end());
    return {};
  };
  PageReceiver replies(*there_, note, nothing, nothing);
  auto ask = [&](uint64_t address) -> Result<void> {
    struct {
      uint32_t pid, pages;
      uint64_t address;
    } request{kPid, 8, address};
    TRY(there_->send(FrameType::page_request, std::as_bytes(std::span(&request, 1))));
    return there_->flush();
  };
  sys::AddressRange asked{kOwed.start + 5 * kPageBytes, kOwed.start + 6 * kPageBytes};
  ASSERT_TRUE(ask(asked.start));
  auto header = there_->receive_header();
  ASSERT_TRUE(header);
  ASSERT_TRUE(replies.receive_pages(*header));
  EXPECT_EQ(came, std::vector{asked});
  EXPECT_EQ(server.pages_on_request_again(), 1u);

  ASSERT_TRUE(send_ranges(*there_, FrameType::pages_in_place, kPid, std::span(&kOwed, 1)));
  ASSERT_TRUE(ask(asked.start));  // nothing: it is there
  for (int i = 0; i < 500 && server.requests() < 2; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(server.requests(), 2u);
  EXPECT_EQ(server.pages_on_request(), 1u);
  ASSERT_TRUE(ask(asked.start + 1));  // nobody asks like that
  there_->set_deadline(std::chrono::steady_clock::now() + 300ms);
  EXPECT_FALSE(there_->receive_header());
  EXPECT_EQ(server.requests(), 2u);
}

}  // namespace
}  // namespace godwit::address_space
