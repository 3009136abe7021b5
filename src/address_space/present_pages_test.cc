#include "address_space/present_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <future>

#include "address_space/departing_objects.h"
#include "address_space/page_shortcuts.h"
#include "address_space/page_stream.h"
#include "sys/file.h"
#include "transport/certificates.h"

namespace godwit::address_space {
namespace {

using transport::Connection;
using transport::FrameType;

constexpr double kSlowLink = 1e-3;  // seconds a page
constexpr PageOwner kProcess = PageOwner::process(7);
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
    bool taken = shortcuts_->take({{owner_, ::getpid(), address(page)}, true, content}, running, kSlowLink);
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
    TRY(shortcuts_->send_gathered(owner_, *source_));
    TRY(source_->flush());
    return receive();
  }
  ErrorKind answer_to(FrameType type, std::span<const sys::AddressRange> ranges, std::span<const std::byte> body) {
    EXPECT_TRUE(source_->send(type, encode_head(owner_.number(), ranges), body));
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
  PageOwner owner_ = kProcess;
  PresentPages present_{[this](PageOwner owner, uint64_t at, std::span<std::byte> into) -> Result<void> {
                          bool inside = owner == owner_ && at >= address(0) && at + into.size() <= address(kPages);
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

TEST_F(PresentPagesTest, DifferencesMakeThePageOfAMemoryObject) {
  owner_ = PageOwner::object(3);
  shortcuts_->next_round();
  EXPECT_FALSE(take(2));
  shortcuts_->next_round();
  here_[2 * kPageBytes + 77] ^= std::byte{9};
  EXPECT_TRUE(take(2));
  auto sent = send_and_receive();
  ASSERT_TRUE(sent) << sent.error().message();
  EXPECT_EQ(std::memcmp(&here_[2 * kPageBytes], &there_[2 * kPageBytes], kPageBytes), 0);
  here_[2 * kPageBytes + 78] ^= std::byte{9};
  shortcuts_->next_round();
  shortcuts_->forget(PageOwner::object(3), {address(0), address(kPages)});
  EXPECT_FALSE(take(2));
}

// A memory object at both ends, with all that is between them.
class PagesOfObjectsTest : public PresentPagesTest {
 protected:
  static constexpr uint32_t kObject = 3;
  static constexpr uint64_t kSize = kPages * kPageBytes - 1000;

  void SetUp() override {
    PresentPagesTest::SetUp();
    ASSERT_TRUE(sys::write_at(object_here_.get(), 0, here_.first(kSize)));
    auto objects = DepartingObjects::create({});
    ASSERT_TRUE(objects);
    objects_.emplace(std::move(*objects));
    sender_.emplace(*source_);
    sender_->set_shortcuts(shortcuts_.get());
    resize(kSize);
  }
  // The destination hears of it.
  void resize(uint64_t size) {
    image::LogicalHost host;
    host.add_shared_memory()->set_id(kObject);
    host.mutable_shared_memory(0)->set_kind(image::SharedMemory::MEMFD);
    host.mutable_shared_memory(0)->set_size(size);
    objects_->follow(host);
    ASSERT_EQ(::ftruncate(object_there_.get(), static_cast<off_t>(size)), 0);
  }
  Result<void> receive(transport::FrameHeader header) {
    auto nothing = [](auto&&...) { return error(ErrorKind::bug, "not here"); };
    auto find = [this](uint32_t id) -> Result<int> {
      if (id != kObject) return error(ErrorKind::corrupt, "no such object");
      return object_there_.get();
    };
    PageReceiver pages(*destination_, nothing, find, nothing);
    pages.set_present(&present_);
    return pages.receive_object(header);
  }
  // Returns how many pages were lacking.
  Result<uint64_t> round() {
    TRY(objects_->send(true, *sender_, [this](uint32_t) -> Result<int> { return object_here_.get(); }));
    TRY(source_->send(FrameType::round_end));
    TRY(source_->flush());
    for (auto header = TRY(destination_->receive_header()); header.type != FrameType::round_end;) {
      TRY(receive(header));
      header = TRY(destination_->receive_header());
    }
    TRY(present_.tell_lacking(*destination_));
    TRY(destination_->send(FrameType::round_done));
    TRY(destination_->flush());
    uint64_t lacking = 0;
    for (;;) {
      transport::FrameHeader header = TRY(source_->receive_header());
      if (header.type == FrameType::round_done) break;
      EXPECT_EQ(header.type, FrameType::shared_memory_known);
      PagesFrame frame = TRY(receive_head(*source_, header.length));
      for (const sys::AddressRange& range : frame.ranges) lacking += range.size() / kPageBytes;
      objects_->lacks(frame.owner(header.type).id, frame.ranges);
    }
    shortcuts_->next_round();
    return lacking;
  }
  bool arrived() const {
    std::vector<std::byte> here(kPages * kPageBytes), there(here.size());
    return sys::read_at(object_here_.get(), 0, here) && sys::read_at(object_there_.get(), 0, there) && here == there;
  }
  std::vector<uint64_t> beginnings() const {
    std::vector<uint64_t> all(kPages);
    for (size_t page = 0; page < kPages; ++page) {
      std::vector<std::byte> content(kPageBytes);
      EXPECT_TRUE(sys::read_at(object_here_.get(), page * kPageBytes, content));
      std::memcpy(&all[page], sys::sha256_digest(content).data(), sizeof all[page]);
    }
    return all;
  }
  // A page at this offset comes as this reference.
  Result<void> refer(uint32_t object, uint64_t offset, const PageReference& reference) {
    sys::AddressRange range{offset, offset + kPageBytes};
    TRY(source_->send(FrameType::shared_memory_known, encode_head(static_cast<pid_t>(object), std::span(&range, 1)),
                      std::as_bytes(std::span(&reference, 1))));
    TRY(source_->flush());
    return receive(TRY(destination_->receive_header()));
  }

  UniqueFd object_here_{::memfd_create("here", MFD_CLOEXEC)}, object_there_{::memfd_create("there", MFD_CLOEXEC)};
  std::optional<DepartingObjects> objects_;
  std::optional<PageSender> sender_;
  PresentPages present_{[this](PageOwner owner, uint64_t at, std::span<std::byte> into) -> Result<void> {
                          if (owner != PageOwner::object(kObject)) return error(ErrorKind::corrupt, "not there");
                          return sys::read_at(object_there_.get(), at, into);
                        },
                        std::nullopt};
};

TEST_F(PagesOfObjectsTest, WhatIsNotInTheCacheIsSentAfterAll) {
  shortcuts_->set_cached(beginnings());
  auto lacking = round();
  ASSERT_TRUE(lacking) << lacking.error().message();
  EXPECT_EQ(*lacking, kPages);
  EXPECT_EQ(shortcuts_->counts().cached, kPages);
  EXPECT_FALSE(arrived());
  shortcuts_->found_lacking(*lacking);
  lacking = round();
  ASSERT_TRUE(lacking) << lacking.error().message();
  EXPECT_EQ(*lacking, 0U);
  EXPECT_TRUE(arrived());
  EXPECT_EQ(sender_->counts().sent, kPages);
}

TEST_F(PagesOfObjectsTest, WhatWasLackingAndIsGivenUpLeavesNothing) {
  ASSERT_TRUE(sys::write_at(object_there_.get(), 0, here_.first(kPageBytes)));
  shortcuts_->set_cached(beginnings());
  ASSERT_TRUE(round());
  ASSERT_TRUE(sys::punch_hole(object_here_.get(), 0, kPageBytes));
  shortcuts_->stop_referring();
  ASSERT_TRUE(round());
  EXPECT_TRUE(arrived());
}

TEST_F(PagesOfObjectsTest, WhatWasCutOffIsSentAgainAlthoughItIsAsBefore) {
  ASSERT_TRUE(round());
  EXPECT_TRUE(arrived());
  resize(kPageBytes + 100);
  resize(kSize);
  EXPECT_FALSE(arrived());
  objects_->unsure(kObject);
  ASSERT_TRUE(round());
  EXPECT_TRUE(arrived());
}

// The destination has room for what it was told of.
TEST_F(PagesOfObjectsTest, WhatGrewBeforeItWasReadIsSentWhenTheDestinationHasHeardOfIt) {
  resize(kPageBytes + 100);
  ASSERT_TRUE(round());
  resize(kSize);
  EXPECT_FALSE(arrived());
  objects_->unsure(kObject);
  ASSERT_TRUE(round());
  EXPECT_TRUE(arrived());
}

TEST_F(PagesOfObjectsTest, NothingIsPutBehindTheEndOrInAnotherObject) {
  for (auto [object, offset] :
       {std::pair{kObject, kPages * kPageBytes}, {kObject, ~uint64_t{0} << 13}, {8U, uint64_t{0}}}) {
    auto received = refer(object, offset, {});
    ASSERT_FALSE(received);
    EXPECT_EQ(received.error().kind, ErrorKind::corrupt);
    SetUp();
  }
}

TEST_F(PagesOfObjectsTest, AReferenceToWhatThereIsNotIsLacking) {
  constexpr uint64_t kBehind = ~uint64_t{0} << 12;
  for (PageOwner owner : {PageOwner::object(8), PageOwner{static_cast<PageOwner::Kind>(7), kObject}}) {
    ASSERT_TRUE(refer(kObject, 0, {.at = 0, .owner = owner}));
    EXPECT_TRUE(present_.lacks());
  }
  ASSERT_TRUE(refer(kObject, 0, {.at = kBehind, .owner = PageOwner::object(kObject)}));
  ASSERT_TRUE(present_.tell_lacking(*destination_));
  ASSERT_TRUE(destination_->flush());
  auto header = source_->receive_header();
  ASSERT_TRUE(header);
  EXPECT_EQ(header->type, FrameType::shared_memory_known);
}

}  // namespace
}  // namespace godwit::address_space
