#include "migration/left_behind.h"

#include <optional>
#include <utility>

#include "address_space/page_stream.h"
#include "freeze/doomed_tree.h"
#include "migration/exchange.h"

namespace godwit::migration {

Result<void> write_mirror(address_space::MirrorWriter& mirror, const worker::SourceOrder& order,
                          const address_space::PageServer& server, worker::Report& report) {
  std::vector<address_space::MirrorWriter::Part> parts;
  server.for_each_owed([&](pid_t host_pid, pid_t pid, const address_space::RangeSet& pages) {
    parts.push_back({host_pid, pid, &pages});
  });
  TRY(mirror.write(order.SerializeAsString(), parts).within("the mirror of what stays behind"));
  report.set_pages_mirrored(mirror.pages());
  return {};
}

void push_rest(Push push, transport::Connection& connection, freeze::SeizedTree tree, const std::string& cgroup,
               WhatArrived what_arrived, worker::Report& report) {
  std::optional<Result<freeze::DoomedTree>> doomed;
  if (what_arrived == WhatArrived::is_given_back) {
    doomed = freeze::DoomedTree::take(std::move(tree), cgroup);
  } else {
    std::move(tree).commit();
  }
  uint64_t freed_bytes = 0;
  push.server.give_back_by([&](pid_t host_pid, auto pages) {
    if (!doomed || !*doomed) return;
    auto freed = (*doomed)->give_back(host_pid, pages);
    freed_bytes += freed ? *freed : 0;  // what cannot be given back goes when all of it does
  });
  auto pushed = push_through(push, connection);
  push.server.stop();
  report.set_pages_pushed(push.server.pages_pushed());
  report.set_pages_on_request(push.server.pages_on_request());
  report.set_pages_freed(freed_bytes / address_space::kPageBytes);
  if (pushed) {
    report.set_pages_ahead(pushed->pages_ahead);
    report.set_pages_ahead_used(pushed->pages_ahead_used);
    return;
  }
  send_abort(connection, pushed.error(), push.account.stage());  // so that nobody waits for us
  report.set_trouble("the node was lost before all memory had arrived: " + pushed.error().message());
}

}  // namespace godwit::migration
