#include "migration/mirrored_push.h"

#include <optional>
#include <utility>

#include "address_space/mirror.h"
#include "address_space/page_server.h"
#include "address_space/sending_streams.h"
#include "migration/exchange.h"
#include "migration/move_account.h"
#include "migration/phases.h"
#include "migration/reconnection.h"
#include "transport/connection.h"

namespace godwit::migration {

namespace {

Result<void> push_from(const address_space::Mirror& mirror, const worker::SourceOrder& source, DaemonLink& link) {
  Connect connect = [&] { return connect_again(source); };
  Phases phases("source");
  MoveAccount account(link, phases);
  account.limit(source.options().bandwidth());
  account.begin("cut off");
  Arrived come = TRY(come_again(connect, account));
  auto server = TRY(address_space::PageServer::create(std::move(come.requests)));
  server->read_by([&](pid_t pid, auto ranges, auto into) { return mirror.read(pid, ranges, into); });
  for (const auto& [pid, pages] : mirror.pages()) server->owe(0, pid, pages);
  server->start_lacking(std::move(come.lacking));
  address_space::SendingStreams streams(come.bulk, 1, connect);
  auto pushed = push_through({*server, streams, account, connect, FaultInjector(std::nullopt)}, come.bulk);
  server->stop();
  if (!pushed) {
    send_abort(come.bulk, pushed.error(), account.stage());  // so that nobody waits for us
    return std::unexpected(std::move(pushed.error()));
  }
  worker::WorkerEvent event;
  worker::Report& report = *event.mutable_moved()->mutable_report();
  report.set_pages_pushed(server->pages_pushed());
  report.set_pages_on_request(server->pages_on_request());
  return link.event(event);
}

Result<void> serve(const std::string& path, DaemonLink& link) {
  auto mirror = TRY(address_space::Mirror::open(path));
  worker::SourceOrder source;
  if (!source.ParseFromString(mirror.order())) return error(ErrorKind::corrupt, path + " has no order");
  return push_from(mirror, source, link);
}

}  // namespace

Result<void> run_mirrored_push(const worker::MirrorOrder& order, DaemonLink& link) {
  auto served = serve(order.path(), link);
  address_space::remove_mirror(order.path());
  return served;
}

}  // namespace godwit::migration
