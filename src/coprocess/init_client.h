// InitClient: speaks with a logical host's godwit-init over its socket (init/protocol.h).
//
// For workers, which wait for answers, and for the daemon, which reads frames as they come (fd(), read_frames()). Owns
// the socket. An Error means that init is gone or does not answer; nothing else is affected.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "init/protocol.h"

namespace godwit::coprocess {

struct ProgramToStart {
  uint32_t console = 0;
  bool terminal = false, discard_stdin = false;
  uint16_t rows = 24, columns = 80;
  uint32_t uid = 0, gid = 0;
  std::vector<uint32_t> groups;
  std::string directory, log_path;
  std::vector<std::string> command, environment;
};

class InitClient {
 public:
  static Result<InitClient> connect(const std::string& socket_path);

  // Returns the program's pid in the job. Errors: gone (no such program), denied, ...: the exec's own errno.
  Result<int32_t> start(const ProgramToStart& program);
  Result<std::map<uint32_t, init::ConsoleState>> states() {
    TRY(send(init::FrameType::status));
    return await_states(init::FrameType::console_state);
  }
  // Once held() has returned all output is in the logs and init touches nothing until release().
  Result<void> ask_hold() { return send(init::FrameType::hold); }
  Result<std::map<uint32_t, init::ConsoleState>> held() { return await_states(init::FrameType::held); }
  Result<void> release() { return send(init::FrameType::release); }
  Result<void> finish() { return send(init::FrameType::finish); }
  Result<init::ConsoleEnds> adopt(uint32_t console, const init::AdoptConsole& state, const std::string& log_path);
  Result<void> console_now(uint32_t console, const init::AdoptConsole& state);
  Result<init::ConsoleEnds> ends(uint32_t console);
  Result<void> ends_taken() { return send(init::FrameType::ends_taken); }

  Result<void> subscribe() { return send(init::FrameType::subscribe); }
  Result<void> input(uint32_t console, std::string_view bytes);
  Result<void> end_of_input(uint32_t console) { return send(init::FrameType::standard_input, console); }
  Result<void> window_size(uint32_t console, uint16_t rows, uint16_t columns);
  Result<void> signal(uint32_t console, int number, bool whole_group);
  Result<void> credit(uint32_t console, uint64_t offset);

  // Any frame, for those who poll.
  struct Frame {
    init::FrameType type;
    uint32_t console;
    std::string payload;
  };
  // What has come, without waiting. ErrorKind::peer_lost when init is gone (frames before that are delivered first).
  Result<std::vector<Frame>> read_frames();
  int fd() const { return socket_.get(); }

 private:
  explicit InitClient(UniqueFd socket) : socket_(std::move(socket)) {}
  Result<void> send(init::FrameType type, uint32_t console = init::kEveryConsole, std::string_view payload = {});
  Result<Frame> receive();
  Result<Frame> receive(init::FrameType wanted, uint32_t console);
  Result<std::map<uint32_t, init::ConsoleState>> await_states(init::FrameType answer);

  UniqueFd socket_;
  std::string received_;
};

// A payload as the plain value it is; nothing when it has another size.
template <class T>
std::optional<T> payload_as(const InitClient::Frame& frame) {
  T value;
  if (frame.payload.size() != sizeof value) return std::nullopt;
  std::char_traits<char>::copy(reinterpret_cast<char*>(&value), frame.payload.data(), sizeof value);
  return value;
}

}  // namespace godwit::coprocess
