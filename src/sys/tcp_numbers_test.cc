#include "sys/tcp_numbers.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/interface.h"
#include "sys/network_visit.h"
#include "sys/socket_names.h"
#include "sys/socket_state.h"

namespace godwit::sys {
namespace {

// Both ends of a connection over the loopback of a network of its own.
Result<void> connect_ends(UniqueFd& one, UniqueFd& other) {
  UniqueFd listening = TRY(make_socket({AF_INET, SOCK_STREAM, IPPROTO_TCP}));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(7000);
  std::string name(reinterpret_cast<const char*>(&address), sizeof address);
  TRY(bind_to(listening.get(), name));
  TRY(listen_on(listening.get(), 1));
  one = TRY(make_socket({AF_INET, SOCK_STREAM, IPPROTO_TCP}));
  TRY(connect_to(one.get(), name));
  other = TRY(accept_from(listening.get()));
  return {};
}

TEST(TcpNumbers, SayWhatTheSocketSays) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0) GTEST_SKIP() << "this kernel has no BTF";
  auto numbers = TcpNumbers::load();
  ASSERT_TRUE(numbers) << numbers.error().message();
  auto done = in_new_network([&]() -> Result<void> {
    TRY(bring_interface_up("lo"));
    UniqueFd one, other;
    TRY(connect_ends(one, other));
    EXPECT_EQ(::send(one.get(), "words", 5, 0), 5);
    DropFilter drop = TRY(DropFilter::load());
    std::string local = TRY(own_address(one.get())), peer = TRY(peer_address(one.get()));
    RepairMode still = TRY(RepairMode::enter(one.get(), drop, {}));
    TcpConnection known = TRY(read_connection(still, {}));
    auto found = TRY(numbers->standing(local, peer));
    if (!found) return error(ErrorKind::failed, "nothing was found of a connection that is there");
    const TcpConnection& told = found->connection;
    EXPECT_EQ(told.state, TcpState::established);
    EXPECT_EQ(told.timestamps, known.timestamps);
    EXPECT_EQ(told.selective_acknowledgements, known.selective_acknowledgements);
    EXPECT_EQ(told.window_scaling, known.window_scaling);
    EXPECT_EQ(told.send_scale, known.send_scale);
    EXPECT_EQ(told.receive_scale, known.receive_scale);
    EXPECT_EQ(told.largest_segment, known.largest_segment);
    EXPECT_EQ(told.receive_next, known.receive_next);
    EXPECT_EQ(told.send_first, known.send_first);
    EXPECT_EQ(found->send_end - told.send_first, known.unacknowledged.size() + known.unsent.size());
    EXPECT_LE(told.timestamp - known.timestamp + 2, 1000u);
    EXPECT_EQ(told.timestamp & 1, known.timestamp & 1);
    EXPECT_EQ(told.window.last_update, known.window.last_update);
    EXPECT_EQ(told.window.size, known.window.size);
    EXPECT_EQ(told.window.largest, known.window.largest);
    EXPECT_EQ(told.window.receive, known.window.receive);
    EXPECT_EQ(told.window.receive_from, known.window.receive_from);
    EXPECT_FALSE(TRY(numbers->standing(peer, peer)).has_value());
    return {};
  });
  EXPECT_TRUE(done) << done.error().message();
}

}  // namespace
}  // namespace godwit::sys
