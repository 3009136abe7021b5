#include "migration/consoles.h"

#include <fcntl.h>

#include "sys/file.h"
#include "sys/pidfd.h"
#include "sys/pseudo_terminal.h"

namespace godwit::migration {

namespace {

constexpr uint64_t kPieceBytes = uint64_t{256} << 10;
constexpr uint32_t kMostConsoles = 100'000;

std::string log_of(const worker::JobPlace& place, uint32_t console) {
  return place.state_directory() + "/console-" + std::to_string(console) + ".log";
}

}  // namespace

Result<objects::ConsoleEnds> console_ends(coprocess::InitClient& init, int init_pidfd,
                                          const std::vector<worker::Console>& consoles) {
  objects::ConsoleEnds found;
  for (const worker::Console& console : consoles) {
    if (console.ended()) continue;
    init::ConsoleEnds ends = TRY(init.ends(console.number()));
    if (console.terminal()) {
      UniqueFd master = TRY(sys::pidfd_getfd(init_pidfd, ends.far_output));
      found.push_back({true, TRY(sys::terminal_index(master.get())), console.number(), 0});
      continue;
    }
    const int far[3] = {ends.far_input, ends.far_output, ends.far_error};
    for (uint32_t stream = 0; stream < 3; ++stream) {
      if (far[stream] < 0) continue;
      UniqueFd end = TRY(sys::pidfd_getfd(init_pidfd, far[stream]));
      found.push_back({false, TRY(sys::status_of(end.get())).st_ino, console.number(), stream});
    }
  }
  return found;
}

Result<void> HeldConsoles::ask() {
  TRY(init_->ask_hold());
  asked_ = true;
  return {};
}

HeldConsoles::~HeldConsoles() {
  if (asked_) (void)init_->release();  // fails only when init is gone
}

Result<std::vector<worker::Console>> HeldConsoles::now(const std::vector<worker::Console>& consoles) const {
  auto states = TRY(init_->held());
  std::vector<worker::Console> current;
  for (worker::Console console : consoles) {
    auto state = states.find(console.number());
    if (state == states.end()) continue;
    console.set_ended(state->second.ended);
    console.set_status(state->second.status);
    console.set_pid(state->second.pid);
    console.set_stdin_closed(state->second.stdin_closed);
    console.set_rows(state->second.rows);
    console.set_columns(state->second.columns);
    console.set_log_end(state->second.log_length);
    current.push_back(std::move(console));
  }
  return current;
}

Result<void> LogSender::send(transport::Connection& connection, const worker::Console& console, uint64_t end) {
  auto fd = sys::open_path(console.log_path(), O_RDONLY);
  if (!fd) return std::unexpected(fd.error());
  uint64_t& at = sent_[console.number()];
  if (end > init::kLogKeepBytes) at = std::max(at, end - init::kLogKeepBytes);
  std::vector<std::byte> buffer(std::min(kPieceBytes, end - std::min(at, end)));
  while (at < end) {
    auto piece = std::span(buffer).first(std::min(kPieceBytes, end - at));
    TRY(sys::read_at(fd->get(), at, piece));
    wire::LogPart part;
    part.set_console(console.number());
    part.set_offset(at);
    part.set_data(piece.data(), piece.size());
    TRY(connection.send(transport::FrameType::log_part, part));
    at += piece.size();
  }
  return {};
}

Result<void> LogSender::send_history(transport::Connection& connection, const std::vector<worker::Console>& consoles) {
  for (const worker::Console& console : consoles) {
    auto status = sys::status_of(console.log_path());
    if (status) TRY(send(connection, console, static_cast<uint64_t>(status->st_size)));
  }
  return {};
}

Result<void> LogSender::send_rest(transport::Connection& connection, const std::vector<worker::Console>& consoles) {
  for (const worker::Console& console : consoles) TRY(send(connection, console, console.log_end()));
  return {};
}

Result<void> append_log(const worker::JobPlace& place, const wire::LogPart& part) {
  constexpr uint64_t kMostBytes = uint64_t{1} << 50;
  if (part.console() > kMostConsoles || part.offset() > kMostBytes) {
    return error(ErrorKind::corrupt, "an impossible piece of a log");
  }
  UniqueFd fd = TRY(sys::open_path(log_of(place, part.console()), O_WRONLY | O_CREAT, 0600));
  return sys::write_at(fd.get(), part.offset(), std::as_bytes(std::span(part.data())));
}

Result<AdoptedConsoles> AdoptedConsoles::create(const worker::JobPlace& place, int init_pidfd) {
  return AdoptedConsoles(place, init_pidfd, TRY(coprocess::InitClient::connect(place.run_directory() + "/init.sock")));
}

init::AdoptConsole AdoptedConsoles::state_of(const worker::Console& console) const {
  init::AdoptConsole state{};
  state.terminal = console.terminal();
  state.discard_stdin = console.discard_stdin();
  state.stdin_closed = console.stdin_closed();
  state.ended = console.ended();
  state.rows = static_cast<uint16_t>(console.rows());
  state.columns = static_cast<uint16_t>(console.columns());
  state.pid = console.pid();
  state.status = console.status();
  state.uid = place_.uid();
  state.gid = place_.gid();
  state.log_length = console.log_end();
  return state;
}

Result<void> AdoptedConsoles::adopt(std::span<const worker::Console> consoles) {
  if (consoles.size() > kMostConsoles) return error(ErrorKind::corrupt, "an impossible number of consoles");
  for (const worker::Console& console : consoles) {
    if (!adopted_.insert(console.number()).second) continue;
    init::ConsoleEnds ends = TRY(init_.adopt(console.number(), state_of(console), log_of(place_, console.number())));
    const int near[3] = {ends.near_input, ends.near_output, ends.near_error};
    for (uint32_t stream = 0; stream < 3; ++stream) {
      if (near[stream] < 0) continue;
      UniqueFd fd = TRY(sys::pidfd_getfd(init_pidfd_, near[stream]));
      ends_.push_back({console.number(), stream, console.terminal(), std::move(fd)});
    }
  }
  return {};
}

Result<void> AdoptedConsoles::take_state(std::span<const worker::Console> consoles) {
  TRY(adopt(consoles));
  for (const worker::Console& console : consoles) TRY(init_.console_now(console.number(), state_of(console)));
  return {};
}

std::vector<objects::ConsoleFd> AdoptedConsoles::ends() const {
  std::vector<objects::ConsoleFd> ends;
  for (const End& end : ends_) ends.push_back({end.console, end.stream, end.terminal, end.fd.get()});
  return ends;
}

Result<void> AdoptedConsoles::ends_taken() {
  TRY(init_.ends_taken());
  ends_.clear();
  return {};
}

}  // namespace godwit::migration
