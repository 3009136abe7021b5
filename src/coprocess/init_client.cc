#include "coprocess/init_client.h"

#include <cstring>

#include "sys/errno.h"
#include "sys/stream_socket.h"
#include "sys/unix_socket.h"

namespace godwit::coprocess {

namespace {

constexpr int kPatienceMs = 10'000;

template <class T>
void append(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_string(std::string& bytes, const std::string& text) { bytes.append(text.c_str(), text.size() + 1); }

}  // namespace

Result<InitClient> InitClient::connect(const std::string& socket_path) {
  return InitClient(TRY(sys::connect_unix(socket_path)));
}

Result<void> InitClient::send(init::FrameType type, uint32_t console, std::string_view payload) {
  std::string bytes;
  append(bytes, init::FrameHead{type, console, static_cast<uint32_t>(payload.size())});
  bytes.append(payload);
  return sys::send_whole(socket_.get(), std::as_bytes(std::span(bytes)), kPatienceMs).within("godwit-init");
}

Result<InitClient::Frame> InitClient::receive() {
  init::FrameHead head;
  TRY(sys::receive_whole(socket_.get(), std::as_writable_bytes(std::span(&head, 1)), kPatienceMs)
          .within("godwit-init"));
  if (head.length > init::kMaxPayload) return error(ErrorKind::corrupt, "godwit-init sent an impossible frame");
  Frame frame{head.type, head.console, std::string(head.length, '\0')};
  TRY(sys::receive_whole(socket_.get(), std::as_writable_bytes(std::span(frame.payload)), kPatienceMs));
  return frame;
}

// The awaited frame; news of other kinds is passed by.
Result<InitClient::Frame> InitClient::receive(init::FrameType wanted, uint32_t console) {
  for (int passed = 0; passed < 10'000; ++passed) {
    Frame frame = TRY(receive());
    if (frame.type == wanted && frame.console == console) return frame;
    if (frame.type == init::FrameType::error) return error(ErrorKind::failed, "godwit-init: " + frame.payload);
  }
  return error(ErrorKind::bug, "godwit-init does not come to an answer");
}

Result<int32_t> InitClient::start(const ProgramToStart& program) {
  std::string bytes;
  append(bytes, init::StartConsole{program.terminal, program.discard_stdin, program.rows, program.columns, program.uid,
                                   program.gid, static_cast<uint32_t>(program.groups.size()),
                                   static_cast<uint32_t>(program.command.size()),
                                   static_cast<uint32_t>(program.environment.size())});
  for (uint32_t group : program.groups) append(bytes, group);
  append_string(bytes, program.directory);
  append_string(bytes, program.log_path);
  for (const std::string& argument : program.command) append_string(bytes, argument);
  for (const std::string& variable : program.environment) append_string(bytes, variable);
  if (bytes.size() > init::kMaxPayload) return error(ErrorKind::exhausted, "the command line is too long");
  TRY(send(init::FrameType::start_console, program.console, bytes));
  Frame answer = TRY(receive(init::FrameType::started, program.console));
  auto pid = payload_as<int32_t>(answer);
  if (!pid) return error(ErrorKind::corrupt, "godwit-init sent an impossible answer");
  if (*pid < 0) return Error{sys::kind_of(-*pid), -*pid, "execve", program.command.front()};
  return *pid;
}

Result<std::map<uint32_t, init::ConsoleState>> InitClient::await_states(init::FrameType answer) {
  std::map<uint32_t, init::ConsoleState> states;
  for (;;) {
    Frame frame = TRY(receive());
    if (frame.type != answer) continue;
    if (frame.console == init::kEveryConsole) return states;
    auto state = payload_as<init::ConsoleState>(frame);
    if (!state) return error(ErrorKind::corrupt, "godwit-init sent an impossible state");
    states[frame.console] = *state;
  }
}

Result<init::ConsoleEnds> InitClient::adopt(uint32_t console, const init::AdoptConsole& state,
                                            const std::string& log_path) {
  std::string bytes;
  append(bytes, state);
  append_string(bytes, log_path);
  TRY(send(init::FrameType::adopt_console, console, bytes));
  auto ends = payload_as<init::ConsoleEnds>(TRY(receive(init::FrameType::console_ends, console)));
  if (!ends) return error(ErrorKind::corrupt, "godwit-init sent impossible console ends");
  return *ends;
}

Result<void> InitClient::console_now(uint32_t console, const init::AdoptConsole& state) {
  std::string bytes;
  append(bytes, state);
  return send(init::FrameType::console_now, console, bytes);
}

Result<init::ConsoleEnds> InitClient::ends(uint32_t console) {
  TRY(send(init::FrameType::console_ends, console));
  auto ends = payload_as<init::ConsoleEnds>(TRY(receive(init::FrameType::console_ends, console)));
  if (!ends) return error(ErrorKind::corrupt, "godwit-init sent impossible console ends");
  return *ends;
}

Result<void> InitClient::input(uint32_t console, std::string_view bytes) {
  constexpr size_t kPiece = 65536;
  while (!bytes.empty()) {
    TRY(send(init::FrameType::standard_input, console, bytes.substr(0, kPiece)));
    bytes.remove_prefix(std::min(bytes.size(), kPiece));
  }
  return {};
}

Result<void> InitClient::window_size(uint32_t console, uint16_t rows, uint16_t columns) {
  std::string bytes;
  append(bytes, init::WindowSize{rows, columns});
  return send(init::FrameType::window_size, console, bytes);
}

Result<void> InitClient::signal(uint32_t console, int number, bool whole_group) {
  std::string bytes;
  append(bytes, init::SignalRequest{number, whole_group});
  return send(init::FrameType::signal, console, bytes);
}

Result<void> InitClient::credit(uint32_t console, uint64_t offset) {
  std::string bytes;
  append(bytes, offset);
  return send(init::FrameType::credit, console, bytes);
}

Result<std::vector<InitClient::Frame>> InitClient::read_frames() {
  std::vector<Frame> frames;
  bool lost = false;
  std::byte buffer[16384];
  while (!lost && TRY(sys::readable_now(socket_.get()))) {
    auto count =
        sys::receive_some(socket_.get(), buffer, std::chrono::steady_clock::now() + std::chrono::seconds(1), {});
    lost = !count || *count == 0;
    if (!lost) received_.append(reinterpret_cast<const char*>(buffer), *count);
  }
  init::FrameHead head;
  while (received_.size() >= sizeof head) {
    std::memcpy(&head, received_.data(), sizeof head);
    if (head.length > init::kMaxPayload) return error(ErrorKind::corrupt, "godwit-init sent an impossible frame");
    if (received_.size() < sizeof head + head.length) break;
    frames.push_back({head.type, head.console, received_.substr(sizeof head, head.length)});
    received_.erase(0, sizeof head + head.length);
  }
  if (lost && frames.empty()) return error(ErrorKind::peer_lost, "godwit-init has ended");
  return frames;
}

}  // namespace godwit::coprocess
