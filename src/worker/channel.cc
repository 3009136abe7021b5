#include "worker/channel.h"

#include <utility>

#include "sys/stream_socket.h"
#include "sys/unix_socket.h"

namespace godwit::worker_process {

namespace {

constexpr int kPatienceMs = 30'000;
constexpr uint32_t kLongest = 64u << 20;

Result<std::string> receive_message(int fd, int timeout_ms) {
  uint32_t length = 0;
  TRY(sys::receive_whole(fd, std::as_writable_bytes(std::span(&length, 1)), timeout_ms));
  if (length > kLongest) return error(ErrorKind::corrupt, "the daemon sent an impossible message");
  std::string bytes(length, '\0');
  TRY(sys::receive_whole(fd, std::as_writable_bytes(std::span(bytes)), timeout_ms));
  return bytes;
}

}  // namespace

Result<worker::WorkerOrder> Channel::order() {
  worker::WorkerOrder order;
  std::string bytes = TRY(receive_message(fd_.get(), kPatienceMs).within("the daemon's order"));
  if (!order.ParseFromString(bytes)) return error(ErrorKind::corrupt, "the daemon's order does not parse");
  return order;
}

Result<worker::WorkerRequest> Channel::request(int timeout_ms) {
  worker::WorkerRequest request;
  std::string bytes = TRY(receive_message(fd_.get(), timeout_ms).within("the daemon"));
  if (!request.ParseFromString(bytes)) return error(ErrorKind::corrupt, "the daemon's request does not parse");
  return request;
}

void Channel::progress(const worker::WorkerEvent::Progress& progress) {
  worker::WorkerEvent report;
  *report.mutable_progress() = progress;
  auto elapsed = std::chrono::steady_clock::now() - start_;
  report.mutable_progress()->set_elapsed_ms(std::chrono::duration<double, std::milli>(elapsed).count());
  (void)event(report);  // progress is for the eye
}

Result<void> Channel::event(const worker::WorkerEvent& event) {
  std::string body = event.SerializeAsString();
  auto length = static_cast<uint32_t>(body.size());
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
  bytes += body;
  return sys::send_whole(fd_.get(), std::as_bytes(std::span(bytes)), kPatienceMs).within("telling the daemon");
}

Result<worker::WorkerRequest::CommitResult> Channel::ask(const worker::WorkerEvent& question) {
  TRY(event(question));
  for (;;) {
    // However long the directory takes: who gave up would not know which copy counts.
    worker::WorkerRequest answer = TRY(request(-1));
    if (answer.has_commit_result()) return answer.commit_result();
    note(answer);
  }
}

void Channel::note(const worker::WorkerRequest& request) {
  if (request.has_cancel()) {
    cancelled_ = true;
    cancel_reason_ = request.cancel().reason();
  }
  if (request.has_switch_()) switch_wanted_ = wish_to_go_on_ = true;
}

void Channel::read_requests() {
  while (!cancelled_) {
    auto ready = sys::readable_now(fd_.get());
    if (!ready || !*ready) return;
    auto next = request(kPatienceMs);
    if (next) {
      note(*next);
    } else {
      cancelled_ = true;  // without its daemon a migration has no business
    }
  }
}

bool Channel::cancelled() {
  read_requests();
  return cancelled_;
}

std::string Channel::cancel_reason() {
  read_requests();
  return cancel_reason_;
}

bool Channel::take_wish_to_go_on() {
  read_requests();
  return std::exchange(wish_to_go_on_, false);
}

bool Channel::switch_wanted() {
  read_requests();
  return switch_wanted_;
}

}  // namespace godwit::worker_process
