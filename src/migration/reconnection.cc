#include "migration/reconnection.h"

#include <cerrno>
#include <thread>

#include "address_space/page_stream.h"
#include "migration/exchange.h"

namespace godwit::migration {

using transport::Connection;
using transport::FrameType;

namespace {

constexpr std::chrono::seconds kConnectAgain(1);

Result<void> push_over(address_space::PageServer& server, Connection& connection, MoveAccount& account) {
  account.begin("pushing");
  TRY(server.push(connection, [&](uint64_t left) { account.while_pushing(left); }));
  TRY(connection.send(FrameType::memory_end));
  return receive_signal(connection, FrameType::all_here);
}

// Until the destination can be reached, or nobody is there any more.
Result<Connection> connect_again(address_space::PageServer& server,
                                 const std::function<Result<Connection>()>& connect) {
  auto until = std::chrono::steady_clock::now() + kCutPatience;
  for (;;) {
    auto bulk = connect();
    auto requests = bulk ? connect() : Result<Connection>(std::unexpected(bulk.error()));
    if (requests) {
      TRY(server.resume(std::move(*requests), TRY(receive_lacking(*bulk))));
      return bulk;
    }
    bool nobody_there = requests.error().errno_value == ECONNREFUSED || std::chrono::steady_clock::now() > until;
    if (nobody_there) return error(ErrorKind::gone, requests.error().message());
    std::this_thread::sleep_for(kConnectAgain);
  }
}

}  // namespace

bool is_cut(const Error& failure) {
  return failure.kind == ErrorKind::peer_lost || failure.kind == ErrorKind::exhausted;
}

Result<void> send_lacking(transport::Connection& connection, const Lacking& lacking) {
  address_space::PageSender sender(connection);
  for (const auto& [pid, pages] : lacking) TRY(sender.owe(pid, pages.within(sys::kEverywhere)));
  TRY(connection.send(FrameType::memory_end));
  return connection.flush();
}

Result<Lacking> receive_lacking(transport::Connection& connection) {
  auto nothing = [](auto&&...) -> Result<void> { return error(ErrorKind::corrupt, "pages from the destination"); };
  address_space::PageReceiver receiver(
      connection, nothing, [](uint32_t) -> Result<int> { return error(ErrorKind::corrupt, "an object"); }, nothing);
  Lacking lacking;
  for (;;) {
    transport::FrameHeader header = TRY(connection.receive_header());
    if (header.type != FrameType::owed_pages) {
      TRY(connection.receive_payload(header));
      if (header.type == FrameType::memory_end) return lacking;
      return error(ErrorKind::corrupt, "the destination does not say what it lacks");
    }
    TRY(receiver.receive_ranges(header.length, [&](pid_t pid, auto ranges) -> Result<void> {
      lacking[pid].add(ranges);
      return {};
    }));
  }
}

Result<void> push_through(address_space::PageServer& server, Connection& connection, MoveAccount& account,
                          const std::function<Result<Connection>()>& connect) {
  auto pushed = push_over(server, connection, account);
  while (!pushed && is_cut(pushed.error())) {
    connection.shut_down();
    server.stop();
    account.begin("cut off");
    auto again = connect_again(server, connect);
    if (!again && !is_cut(again.error())) return std::unexpected(std::move(again.error()));
    if (!again) continue;  // it was lost again before anything was said
    connection = std::move(*again);
    pushed = push_over(server, connection, account);
  }
  return pushed;
}

}  // namespace godwit::migration
