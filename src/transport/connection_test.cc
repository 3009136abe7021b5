#include "transport/connection.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <future>
#include <numeric>
#include <thread>

#include "godwit/wire.pb.h"

namespace godwit::transport {
namespace {

using namespace std::chrono_literals;
using std::chrono::microseconds;

sys::Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::vector<std::byte> pattern(size_t length) {
  std::vector<std::byte> bytes(length);
  for (size_t i = 0; i < length; ++i) bytes[i] = static_cast<std::byte>(i * 7 + (i >> 12));
  return bytes;
}

class ConnectionTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string path = testing::TempDir() + "connection-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    directory_ = path;
    ASSERT_TRUE(create_authority(directory_ + "/ca"));
    ASSERT_TRUE(create_authority(directory_ + "/other"));
    for (std::string node : {"node1", "node2", "node3"}) {
      ASSERT_TRUE(issue_node_certificate(directory_ + "/ca", directory_ + "/" + node, node, {}));
    }
    ASSERT_TRUE(issue_node_certificate(directory_ + "/other", directory_ + "/stranger", "node1", {}));
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(directory_); }

  void SetUp() override {
    auto listener = Listener::bind("127.0.0.1");
    ASSERT_TRUE(listener) << listener.error().message();
    listener_ = std::make_unique<Listener>(std::move(*listener));
  }

  static TlsFiles files(const std::string& node) { return tls_files_in(directory_ + "/" + node); }

  // node1 connects to node2, unless told otherwise.
  struct Attempt {
    std::string client_files = "node1";
    std::string client_expects = "node2";
    std::string server_expects = "node1";
    std::string client_token = std::string(kTokenBytes, 't');
    std::chrono::milliseconds time = 5s;
  };
  struct Ends {
    Result<Connection> client;
    Result<Connection> server;
  };
  Ends attempt(const Attempt& how) {
    auto deadline = in(how.time);
    auto client = std::async(std::launch::async, [&] {
      return Connection::connect("127.0.0.1", listener_->port(), files(how.client_files), how.client_expects,
                                 how.client_token, deadline);
    });
    auto server = listener_->accept(files("node2"), how.server_expects, std::string(kTokenBytes, 't'), deadline);
    return {client.get(), std::move(server)};
  }

  static inline std::string directory_;
  std::unique_ptr<Listener> listener_;
};

TEST_F(ConnectionTest, FramesArriveInOrder) {
  auto [client, server] = attempt({});
  ASSERT_TRUE(client && server);
  wire::Committed committed;
  committed.add_phases()->set_name("freeze");
  ASSERT_TRUE(client->send(FrameType::committed, committed));
  ASSERT_TRUE(client->send(FrameType::go));
  ASSERT_TRUE(client->send(FrameType::progress, bytes_of("half")));
  ASSERT_TRUE(client->flush());
  auto first = server->receive();
  ASSERT_TRUE(first);
  wire::Committed received;
  ASSERT_TRUE(received.ParseFromArray(first->payload.data(), static_cast<int>(first->payload.size())));
  EXPECT_EQ(received.phases(0).name(), "freeze");
  auto second = server->spin_receive(100us);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->type, FrameType::go);
  EXPECT_TRUE(second->payload.empty());
  auto third = server->receive();
  ASSERT_TRUE(third);
  EXPECT_EQ(std::memcmp(third->payload.data(), "half", 4), 0);
  EXPECT_EQ(client->bytes_sent(), server->bytes_received());
}

TEST_F(ConnectionTest, BulkGoesStraightToItsPlace) {
  auto [client, server] = attempt({});
  ASSERT_TRUE(client && server);
  constexpr size_t kFrames = 24;
  auto body = pattern((1 << 20) - 4096 * 3 + 17);
  auto sender = std::async(std::launch::async, [&] {
    for (size_t i = 0; i < kFrames; ++i) {
      if (!client->send(FrameType::pages, bytes_of("head"), body)) return false;
      if (!client->send(FrameType::progress, bytes_of("small"))) return false;
    }
    return client->flush().has_value();
  });
  std::vector<std::byte> into(body.size());
  for (size_t i = 0; i < kFrames; ++i) {
    auto header = server->receive_header();
    ASSERT_TRUE(header);
    ASSERT_EQ(header->length, body.size() + 4);
    std::byte head[4];
    ASSERT_TRUE(server->receive_bytes(head));
    std::fill(into.begin(), into.end(), std::byte{0});
    ASSERT_TRUE(server->receive_bytes(into));
    ASSERT_EQ(into, body);
    ASSERT_EQ(server->receive()->payload.size(), 5u);
  }
  EXPECT_TRUE(sender.get());
}

TEST_F(ConnectionTest, ReceivingFlushesFirst) {
  auto [client, server] = attempt({});
  ASSERT_TRUE(client && server);
  auto echo = std::async(std::launch::async, [&] {
    auto frame = server->receive();
    return frame && server->send(FrameType::clock_answer, frame->payload) && server->flush();
  });
  ASSERT_TRUE(client->send(FrameType::clock_probe, bytes_of("12345678")));
  auto answer = client->receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->payload.size(), 8u);
  EXPECT_TRUE(echo.get());
}

TEST_F(ConnectionTest, AMessageOfManyRecords) {
  auto [client, server] = attempt({});
  ASSERT_TRUE(client && server);
  auto payload = pattern(5 << 20);
  auto sender =
      std::async(std::launch::async, [&] { return client->send(FrameType::final_state, payload) && client->flush(); });
  auto frame = server->receive();
  ASSERT_TRUE(frame);
  EXPECT_TRUE(std::ranges::equal(frame->payload, payload));
  EXPECT_TRUE(sender.get());
}

TEST_F(ConnectionTest, TurnsAwayAWrongToken) {
  auto [client, server] = attempt({.client_token = std::string(kTokenBytes, 'u'), .time = 400ms});
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().kind, ErrorKind::denied);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().kind, ErrorKind::denied);
}

TEST_F(ConnectionTest, ATokenHasItsLength) {
  auto client = Connection::connect("127.0.0.1", listener_->port(), files("node1"), "node2", "short", in(1s));
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().kind, ErrorKind::corrupt);
}

TEST_F(ConnectionTest, TurnsAwayAnotherCluster) {
  auto [client, server] = attempt({.client_files = "stranger", .time = 400ms});
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().kind, ErrorKind::denied);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().kind, ErrorKind::denied);
}

TEST_F(ConnectionTest, TurnsAwayAnotherNodeOfTheCluster) {
  auto [client, server] = attempt({.client_files = "node3", .time = 400ms});
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().kind, ErrorKind::denied);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().kind, ErrorKind::denied);
}

TEST_F(ConnectionTest, TheClientVerifiesTheNodeToo) {
  auto [client, server] = attempt({.client_expects = "node3", .time = 400ms});
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().kind, ErrorKind::denied);
  EXPECT_FALSE(server);
}

TEST_F(ConnectionTest, TheRightNodeIsTakenAfterAWrongOne) {
  std::string wrong(kTokenBytes, 'u');
  auto clients = std::async(std::launch::async, [&] {
    auto refused = Connection::connect("127.0.0.1", listener_->port(), files("node1"), "node2", wrong, in(5s));
    auto taken = Connection::connect("127.0.0.1", listener_->port(), files("node1"), "node2",
                                     std::string(kTokenBytes, 't'), in(5s));
    return !refused && taken;
  });
  auto server = listener_->accept(files("node2"), "node1", std::string(kTokenBytes, 't'), in(5s));
  EXPECT_TRUE(server);
  EXPECT_TRUE(clients.get());
}

TEST_F(ConnectionTest, RefusesAFrameBeyondItsBound) {
  auto hostile = std::async(std::launch::async, [&] {
    auto socket = sys::connect_stream("127.0.0.1", listener_->port(), in(5s));
    auto stream = TlsStream::establish(std::move(*socket), TlsStream::Role::client, files("node1"), "node2", in(5s));
    std::byte header[kFrameHeaderBytes];
    encode_header({FrameType::pages, kMaxPagesBytes + 1}, header);
    return (*stream)->write(bytes_of(std::string(kTokenBytes, 't'))) && (*stream)->write(header) && (*stream)->flush();
  });
  auto server = listener_->accept(files("node2"), "node1", std::string(kTokenBytes, 't'), in(5s));
  ASSERT_TRUE(server);
  auto frame = server->receive();
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().kind, ErrorKind::corrupt);
  EXPECT_FALSE(server->receive());
  EXPECT_TRUE(hostile.get());
}

TEST_F(ConnectionTest, NothingBeyondItsBoundIsSentOrRead) {
  auto [client, server] = attempt({});
  ASSERT_TRUE(client && server);
  std::vector<std::byte> bytes(longest_payload(FrameType::clock_probe) + 1);
  EXPECT_FALSE(client->send(FrameType::clock_probe, bytes));
  ASSERT_TRUE(client->send(FrameType::clock_probe, bytes_of("1234")));
  ASSERT_TRUE(client->flush());
  auto header = server->receive_header();
  ASSERT_TRUE(header);
  EXPECT_FALSE(server->receive_bytes(std::span(bytes).first(5)));
  EXPECT_TRUE(server->receive_bytes(std::span(bytes).first(4)));
}

TEST_F(ConnectionTest, SeesACutInTheMiddleOfAFrame) {
  auto [client, server] = attempt({});
  ASSERT_TRUE(client && server);
  ASSERT_TRUE(client->send(FrameType::pages, pattern(100000)));
  ASSERT_TRUE(client->flush());
  ASSERT_TRUE(server->receive_header());
  std::vector<std::byte> part(50000);
  ASSERT_TRUE(server->receive_bytes(part));
  client->shut_down();
  ASSERT_TRUE(server->receive_bytes(part));
  auto after = server->receive();
  ASSERT_FALSE(after);
  EXPECT_EQ(after.error().kind, ErrorKind::peer_lost);
}

TEST_F(ConnectionTest, SeesACutBeforeTheEndOfAPayload) {
  auto [client, server] = attempt({});
  ASSERT_TRUE(client && server);
  // 300000 bytes fill two batches of records; the rest is never sent.
  ASSERT_TRUE(client->send(FrameType::pages, pattern(300000)));
  client->shut_down();
  auto frame = server->receive();
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().kind, ErrorKind::peer_lost);
  EXPECT_FALSE(server->receive());
}

TEST_F(ConnectionTest, ADeadlineBetweenFramesLosesNothing) {
  auto [client, server] = attempt({});
  ASSERT_TRUE(client && server);
  server->set_deadline(in(20ms));
  auto none = server->receive();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::exhausted);
  server->set_deadline(in(5s));
  EXPECT_FALSE(*server->has_input());
  ASSERT_TRUE(client->send(FrameType::go));
  ASSERT_TRUE(client->flush());
  auto frame = server->receive();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->type, FrameType::go);
}

TEST_F(ConnectionTest, TheDeadlineOfConnectingIsForThatAlone) {
  auto [client, server] = attempt({.time = 300ms});
  ASSERT_TRUE(client && server);
  auto wait_for_go = [](Connection& waiting, Connection& sending, std::chrono::milliseconds pause) {
    auto frame = std::async(std::launch::async, [&] { return waiting.receive(); });
    std::this_thread::sleep_for(pause);
    EXPECT_TRUE(sending.send(FrameType::go) && sending.flush());
    EXPECT_TRUE(frame.get());
  };
  wait_for_go(*server, *client, 400ms);
  wait_for_go(*client, *server, 50ms);
}

TEST_F(ConnectionTest, PatienceIsForOneWait) {
  auto [client, server] = attempt({});
  ASSERT_TRUE(client && server);
  server->set_patience(30ms);
  auto none = server->receive();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::exhausted);
  ASSERT_TRUE(client->send(FrameType::go) && client->flush());
  ASSERT_TRUE(server->receive());
  server->be_patient();
  auto frame = std::async(std::launch::async, [&] { return server->receive(); });
  std::this_thread::sleep_for(60ms);
  ASSERT_TRUE(client->send(FrameType::go) && client->flush());
  ASSERT_TRUE(frame.get());
}

TEST_F(ConnectionTest, SendingEndsAtTheDeadline) {
  auto [client, server] = attempt({});
  ASSERT_TRUE(client && server);
  client->set_deadline(in(50ms));
  auto body = pattern(1 << 20);
  Result<void> sent;
  for (int i = 0; i < 64 && sent; ++i) sent = client->send(FrameType::pages, body);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind, ErrorKind::exhausted);
  EXPECT_FALSE(client->flush());
}

TEST_F(ConnectionTest, InputIsSeenWhereverItIs) {
  auto [client, server] = attempt({});
  ASSERT_TRUE(client && server);
  ASSERT_TRUE(client->send(FrameType::go));
  ASSERT_TRUE(client->send(FrameType::go));
  ASSERT_TRUE(client->flush());
  ASSERT_TRUE(server->receive());
  EXPECT_TRUE(*server->has_input());  // decrypted already, nothing at the socket
  ASSERT_TRUE(server->receive());
  EXPECT_FALSE(*server->has_input());
}

TEST_F(ConnectionTest, NobodyListens) {
  uint16_t port = listener_->port();
  listener_.reset();
  auto client = Connection::connect("127.0.0.1", port, files("node1"), "node2", std::string(kTokenBytes, 't'), in(1s));
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().kind, ErrorKind::peer_lost);
}

TEST_F(ConnectionTest, NobodyComes) {
  auto server = listener_->accept(files("node2"), "node1", std::string(kTokenBytes, 't'), in(20ms));
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().kind, ErrorKind::exhausted);
}

}  // namespace
}  // namespace godwit::transport
