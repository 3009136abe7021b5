#include "objects/words_within.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "sys/socket_options.h"
#include "sys/standard_stream.h"
#include "sys/tcp_repair.h"
#include "transport/frame.h"

namespace godwit::objects {

namespace {

constexpr std::chrono::milliseconds kPatience(1500);  // as long as the kernel may take to send again what was dropped

constexpr int kSpareBytes = 65536;

struct Heard {
  std::string bytes;
  bool goes_on = true, whole = false;
};

// What there is by now.
void hear_more(const ReaderWithin& reader, Heard& heard) {
  std::array<char, 65536> piece;
  while (heard.goes_on) {
    ssize_t count = ::recv(reader.fd.get(), piece.data(), piece.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count > 0) heard.bytes.append(piece.data(), static_cast<size_t>(count));
    heard.whole = count == 0 && heard.bytes.size() >= reader.told;
    heard.goes_on = count > 0 && heard.bytes.size() <= reader.told + transport::kMaxMessageBytes / 2;
  }
}

}  // namespace

std::vector<image::TcpSocket> hear_within(const std::vector<ReaderWithin>& readers) {
  std::vector<Heard> heard(readers.size());
  for (const ReaderWithin& reader : readers) sys::leave_repair_mode(reader.fd.get());
  for (;;) {
    std::vector<pollfd> waiting;
    for (size_t i = 0; i < readers.size(); ++i) {
      hear_more(readers[i], heard[i]);
      if (heard[i].goes_on) waiting.push_back({readers[i].fd.get(), POLLIN, 0});
    }
    if (waiting.empty()) break;
    auto more = sys::wait_until_ready(waiting, static_cast<int>(kPatience.count()));
    if (!more || !*more) break;
  }
  std::vector<image::TcpSocket> said(readers.size());
  for (size_t i = 0; i < readers.size(); ++i) {
    if (!heard[i].whole) continue;
    said[i].set_state(static_cast<uint32_t>(sys::TcpState::fin_wait1));
    said[i].set_unsent(heard[i].bytes.substr(readers[i].told));
  }
  return said;
}

// What its reader has sent it meanwhile would turn the end of the stream into a reset.
Result<void> speak_within(UniqueFd stand_in, const image::TcpSocket& said) {
  if (!stand_in.valid()) return error(ErrorKind::gone, "a reader that is not there");
  if (said.state() == 0) return {};
  sys::TcpConnection words{};
  words.unsent = said.unsent();
  TRY(sys::enlarge_send_buffer(stand_in.get(), static_cast<int>(words.unsent.size()) + kSpareBytes));
  TRY(sys::send_unsent(stand_in.get(), words));
  std::array<char, 4096> unwanted;
  while (::recv(stand_in.get(), unwanted.data(), unwanted.size(), MSG_DONTWAIT) > 0) {
  }
  return sys::speak_when_closed(stand_in.get());
}

}  // namespace godwit::objects
