// Reconnection: after the switchover of post-copy a lost connection is no end. The source comes again, with two
// connections as before, and the destination says what it still lacks.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>

#include "address_space/page_server.h"
#include "address_space/range_set.h"
#include "base/result.h"
#include "godwit/worker.pb.h"
#include "migration/fault_point.h"
#include "migration/move_account.h"
#include "transport/connection.h"

namespace godwit::migration {

// How long each side waits for the other to come back. Threads that touch what is missing stand still meanwhile.
constexpr std::chrono::minutes kCutPatience(10);

// Whether the way to the other side is lost, rather than what it says wrong.
bool is_cut(const Error& failure);

// Owed pages by process, at the source's addresses.
using Lacking = std::map<pid_t, address_space::RangeSet>;
Result<void> send_lacking(transport::Connection& connection, const Lacking& lacking);
Result<Lacking> receive_lacking(transport::Connection& connection);

// The destination's last word of a move: that all is there, and how it fetched it.
struct AllHere {
  uint64_t pages_ahead = 0, pages_ahead_used = 0;
};
Result<void> send_all_here(transport::Connection& connection, const AllHere& word);

// Both connections of one try of the source's. Each is asked what it is, since some may be of an earlier try that was
// given up; those are let go. `accept`: the next that comes; its error ends it.
struct ComeAgain {
  transport::Connection bulk, requests;
};
Result<ComeAgain> accept_both(const std::function<Result<transport::Connection>()>& accept);

// A connection of the source's to the destination, in the beginning, and when a try follows the other.
Result<transport::Connection> connect_to_destination(const worker::SourceOrder& order);
Result<transport::Connection> connect_again(const worker::SourceOrder& order);
using Connect = std::function<Result<transport::Connection>()>;

// The source, come to a destination that waits for it.
struct Arrived {
  transport::Connection bulk, requests;
  Lacking lacking;
};
// Tries until the destination can be reached, for up to kCutPatience, or as long anew as somebody wishes.
// Errors: gone when nobody is there any more; corrupt.
Result<Arrived> come_again(const Connect& connect, MoveAccount& account);

// What the source pushes, and what it takes to go on when the connection is lost.
struct Push {
  address_space::PageServer& server;
  address_space::SendingStreams& streams;  // given up when the connection is lost
  MoveAccount& account;
  Connect connect;  // anew
  FaultInjector faults;
  bool half_is_sent = false;
};
// Sends what is left behind until the destination has all of it. When the connection is lost others are made, and the
// last one made is `connection`.
Result<AllHere> push_through(Push push, transport::Connection& connection);

}  // namespace godwit::migration
