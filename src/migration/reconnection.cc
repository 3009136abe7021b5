#include "migration/reconnection.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <thread>
#include <utility>

#include "address_space/page_stream.h"
#include "migration/exchange.h"

namespace godwit::migration {

using transport::Connection;
using transport::FrameType;

namespace {

constexpr std::chrono::seconds kConnectPatience(15);
constexpr std::chrono::seconds kConnectAgainPatience(5);  // a try follows the other
constexpr std::chrono::seconds kConnectAgain(1);
constexpr std::chrono::milliseconds kLook(50);  // for somebody's wish to connect now

Result<AllHere> receive_all_here(Connection& connection) {
  transport::Frame frame = TRY(connection.receive());
  if (frame.type == FrameType::abort) return abort_reason(frame);
  AllHere word;
  if (frame.type != FrameType::all_here || frame.payload.size() != sizeof word) {
    return error(ErrorKind::corrupt, "the other node does not say that all memory has arrived");
  }
  std::memcpy(&word, frame.payload.data(), sizeof word);
  return word;
}

Result<AllHere> push_over(Push& push, Connection& connection, address_space::SendingStreams* streams) {
  push.account.begin("pushing");
  uint64_t most = 0;
  TRY(push.server.push(connection, streams, [&](uint64_t left) {
    push.account.while_pushing(left);
    most = std::max(most, left);
    if (left <= most / 2 && !std::exchange(push.half_is_sent, true)) {
      push.faults.at(FaultPoint::source_pushing, &connection);
    }
  }));
  TRY(connection.send(FrameType::memory_end));
  return receive_all_here(connection);
}

// Waits until it is time to try again; longer altogether when somebody says that it is time now.
void wait_for_next_try(MoveAccount& account, std::chrono::steady_clock::time_point& until) {
  auto next = std::chrono::steady_clock::now() + kConnectAgain;
  while (std::chrono::steady_clock::now() < next) {
    if (account.wish_to_go_on()) {
      until = std::chrono::steady_clock::now() + kCutPatience;
      return;
    }
    std::this_thread::sleep_for(kLook);
  }
}

Result<Connection> connect_within(std::chrono::seconds patience, const worker::SourceOrder& order) {
  transport::TlsFiles files{order.tls().certificate(), order.tls().key(), order.tls().authority()};
  return Connection::connect(order.destination().host(), static_cast<uint16_t>(order.destination().port()), files,
                             order.destination_node(), order.token(), std::chrono::steady_clock::now() + patience);
}

Result<Arrived> try_to_come(const Connect& connect) {
  Connection bulk = TRY(connect());
  Connection requests = TRY(connect());
  Lacking lacking = TRY(receive_lacking(bulk));
  return Arrived{std::move(bulk), std::move(requests), std::move(lacking)};
}

}  // namespace

bool is_cut(const Error& failure) {
  return failure.kind == ErrorKind::peer_lost || failure.kind == ErrorKind::exhausted;
}

Result<Connection> connect_to_destination(const worker::SourceOrder& order) {
  return connect_within(kConnectPatience, order);
}

Result<Connection> connect_again(const worker::SourceOrder& order) {
  return connect_within(kConnectAgainPatience, order);
}

Result<void> send_lacking(transport::Connection& connection, const Lacking& lacking) {
  address_space::PageSender sender(connection);
  for (const auto& [pid, pages] : lacking) TRY(sender.owe(pid, pages.within(sys::kEverywhere)));
  TRY(connection.send(FrameType::memory_end));
  return connection.flush();
}

Result<Lacking> receive_lacking(transport::Connection& connection) {
  Lacking lacking;
  for (;;) {
    transport::FrameHeader header = TRY(connection.receive_header());
    if (header.type != FrameType::owed_pages) {
      TRY(connection.receive_payload(header));
      if (header.type == FrameType::memory_end) return lacking;
      return error(ErrorKind::corrupt, "the destination does not say what it lacks");
    }
    TRY(address_space::receive_ranges(connection, header.length, [&](pid_t pid, auto ranges) -> Result<void> {
      lacking[pid].add(ranges);
      return {};
    }));
  }
}

Result<Arrived> come_again(const Connect& connect, MoveAccount& account) {
  auto until = std::chrono::steady_clock::now() + kCutPatience;
  (void)account.wish_to_go_on();  // of the time before
  for (;;) {
    auto come = try_to_come(connect);
    if (come || come.error().kind == ErrorKind::corrupt) return come;
    bool nobody_there = come.error().errno_value == ECONNREFUSED || std::chrono::steady_clock::now() > until;
    if (nobody_there) return error(ErrorKind::gone, come.error().message());
    wait_for_next_try(account, until);
  }
}

Result<void> send_all_here(Connection& connection, const AllHere& word) {
  TRY(connection.send(FrameType::all_here, std::as_bytes(std::span(&word, 1))));
  return connection.flush();
}

Result<AllHere> push_through(Push push, Connection& connection) {
  auto pushed = push_over(push, connection, &push.streams);
  while (!pushed && is_cut(pushed.error())) {
    connection.shut_down();
    push.server.stop();
    push.account.begin("cut off");
    Arrived again = TRY(come_again(push.connect, push.account));
    connection = std::move(again.bulk);
    TRY(push.server.resume(std::move(again.requests), std::move(again.lacking)));
    pushed = push_over(push, connection, nullptr);
  }
  return pushed;
}

}  // namespace godwit::migration
