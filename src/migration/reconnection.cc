#include "migration/reconnection.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "address_space/page_stream.h"
#include "migration/exchange.h"
#include "sys/random.h"

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

// The payload of a `coming` frame.
struct Coming {
  enum Role : uint32_t { bulk, requests };
  uint64_t attempt = 0;  // the same of both connections of one
  uint32_t role = bulk;
  uint32_t unused = 0;
};

Result<Coming> ask_coming(Connection& connection) {
  connection.set_deadline(std::chrono::steady_clock::now() + kConnectAgainPatience);
  TRY(send_signal(connection, FrameType::coming));
  transport::Frame frame = TRY(connection.receive());
  Coming coming;
  if (frame.type != FrameType::coming || frame.payload.size() != sizeof coming) {
    return error(ErrorKind::corrupt, "the source does not say what its connection is");
  }
  std::memcpy(&coming, frame.payload.data(), sizeof coming);
  connection.set_deadline(sys::Deadline::max());
  return coming;
}

// Says what it is when it is asked.
Result<Connection> come_as(const Connect& connect, const Coming& coming) {
  Connection connection = TRY(connect());
  connection.set_deadline(std::chrono::steady_clock::now() + kConnectAgainPatience);
  TRY(receive_signal(connection, FrameType::coming, {}));
  TRY(connection.send(FrameType::coming, std::as_bytes(std::span(&coming, 1))));
  TRY(connection.flush());
  connection.set_deadline(sys::Deadline::max());
  return connection;
}

Result<Arrived> try_to_come(const Connect& connect) {
  Coming coming;
  TRY(sys::fill_randomly(std::as_writable_bytes(std::span(&coming.attempt, 1))));
  Connection bulk = TRY(come_as(connect, coming));
  coming.role = Coming::requests;
  Connection requests = TRY(come_as(connect, coming));
  Lacking lacking = TRY(receive_lacking(bulk));
  return Arrived{std::move(bulk), std::move(requests), std::move(lacking)};
}

}  // namespace

bool is_cut(const Error& failure) {
  return failure.kind == ErrorKind::peer_lost || failure.kind == ErrorKind::exhausted;
}

Result<ComeAgain> accept_both(const std::function<Result<Connection>()>& accept) {
  std::optional<Connection> bulk;
  for (uint64_t attempt = 0;;) {
    Connection connection = TRY(accept());
    auto coming = ask_coming(connection);
    if (!coming) continue;
    if (coming->role == Coming::requests && bulk && coming->attempt == attempt) {
      return ComeAgain{std::move(*bulk), std::move(connection)};
    }
    if (coming->role != Coming::bulk) continue;
    bulk.emplace(std::move(connection));
    attempt = coming->attempt;
  }
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
  return send_signal(connection, FrameType::memory_end);
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
