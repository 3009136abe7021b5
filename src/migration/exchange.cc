#include "migration/exchange.h"

#include <algorithm>

#include "address_space/streams_choice.h"

namespace godwit::migration {

Error abort_reason(const transport::Frame& frame) {
  wire::Abort abort;
  bool parsed = abort.ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size()));
  if (!parsed) return error(ErrorKind::corrupt, "the other node gave up");
  return error(ErrorKind::failed, "the other node gave up at " + abort.stage() + ": " + abort.reason());
}

Result<void> expect_signal(const transport::Frame& frame, transport::FrameType type) {
  if (frame.type == transport::FrameType::abort) return abort_reason(frame);
  if (frame.type != type) return error(ErrorKind::corrupt, "the other node sent an unexpected frame");
  return {};
}

Result<void> send_signal(transport::Connection& connection, transport::FrameType type) {
  TRY(connection.send(type));
  return connection.flush();
}

Result<void> receive_signal(transport::Connection& connection, transport::FrameType type,
                            std::chrono::microseconds spin) {
  return expect_signal(TRY(connection.spin_receive(spin)), type);
}

bool may_leave_pages(const worker::MoveOptions& options) {
  return options.memory() != "total";  // of pre-copy because somebody may switch it
}

std::string what_if_stuck(const worker::MoveOptions& options) {
  if (!options.on_timeout().empty()) return options.on_timeout();
  return options.memory() == "hybrid" ? "postcopy" : "cancel";
}

uint32_t streams_wanted(const worker::MoveOptions& options) {
  return options.memory() == "total" ? 1 : std::min(options.streams(), address_space::kMostStreams);
}

void drain(transport::Connection& connection) {
  connection.set_deadline(std::chrono::steady_clock::now() + std::chrono::seconds(3));
  while (connection.receive()) {
  }
}

Error explained(transport::Connection& connection, Error failure) {
  if (failure.kind != ErrorKind::peer_lost) return failure;
  connection.set_deadline(std::chrono::steady_clock::now() + std::chrono::seconds(2));
  for (;;) {
    auto frame = connection.receive();
    if (!frame) return failure;
    if (frame->type == transport::FrameType::abort) return abort_reason(*frame);
  }
}

void send_abort(transport::Connection& connection, const Error& reason, std::string_view stage) {
  wire::Abort abort;
  abort.set_kind(std::string(to_string(reason.kind)));
  abort.set_reason(reason.message());
  abort.set_stage(std::string(stage));
  if (connection.send(transport::FrameType::abort, abort)) (void)connection.flush();
}

}  // namespace godwit::migration
