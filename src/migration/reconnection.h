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

// The source: sends what is left behind until the destination has all of it. When the connection is lost `connect`
// makes others, and the last one made is `connection`.
Result<void> push_through(address_space::PageServer& server, transport::Connection& connection, MoveAccount& account,
                          const std::function<Result<transport::Connection>()>& connect);

}  // namespace godwit::migration
