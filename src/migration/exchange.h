// Exchange: messages of proto/godwit/wire.proto over a connection, with the other side's Abort turned into an Error.
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"
#include "godwit/wire.pb.h"
#include "transport/connection.h"

namespace godwit::migration {

// The Error that an abort frame carries.
Error abort_reason(const transport::Frame& frame);

// `frame` as a message; ErrorKind::corrupt when it is of another type or does not parse.
template <class Message>
Result<Message> expect(const transport::Frame& frame, transport::FrameType type) {
  if (frame.type == transport::FrameType::abort) return abort_reason(frame);
  if (frame.type != type) {
    return error(ErrorKind::corrupt, "the other node sent " + std::string(*transport::name_of(frame.type)) +
                                         " instead of " + std::string(*transport::name_of(type)));
  }
  Message message;
  if (!message.ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size()))) {
    return error(ErrorKind::corrupt, "the other node sent a message that does not parse");
  }
  return message;
}

template <class Message>
Result<Message> receive(transport::Connection& connection, transport::FrameType type,
                        std::chrono::microseconds spin = std::chrono::microseconds(0)) {
  return expect<Message>(TRY(connection.spin_receive(spin)), type);
}

// A frame without a payload. Sent at once.
Result<void> send_signal(transport::Connection& connection, transport::FrameType type);
Result<void> expect_signal(const transport::Frame& frame, transport::FrameType type);
Result<void> receive_signal(transport::Connection& connection, transport::FrameType type,
                            std::chrono::microseconds spin = std::chrono::microseconds(0));

// Whether pages may be left behind for the running program to fetch: then there is a second connection, made when the
// skeleton is ready.
bool may_leave_pages(const worker::MoveOptions& options);

// What is to become of memory when rounds cannot follow the program: the values of --on-timeout.
std::string what_if_stuck(const worker::MoveOptions& options);

// Connections that memory may travel by, the main one among them; 0: as many as turn out to be of use.
uint32_t streams_wanted(const worker::MoveOptions& options);

// Receives and forgets until the other side has closed, a few seconds at most.
void drain(transport::Connection& connection);

// `failure`, or what the other side says of it when it ended the connection.
Error explained(transport::Connection& connection, Error failure);

// Tells the other side why this one gives up; failures to tell do not matter any more.
void send_abort(transport::Connection& connection, const Error& reason, std::string_view stage);

}  // namespace godwit::migration
