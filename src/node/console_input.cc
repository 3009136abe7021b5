#include "node/console_input.h"

#include <grpcpp/grpcpp.h>
#include <poll.h>

#include "node/peer_channels.h"

namespace godwit::node {

namespace {
constexpr size_t kMostPending = 256 << 10;
constexpr size_t kPiece = 64 << 10;
constexpr int kLookMs = 500;
constexpr std::chrono::milliseconds kLookAgain(20);
constexpr std::chrono::seconds kLastDelivery(2);
}  // namespace

Result<std::unique_ptr<ConsoleInput>> ConsoleInput::create(Daemon& daemon, Caller caller, Options options) {
  auto wake_up = TRY(sys::WakeUp::make());
  return std::unique_ptr<ConsoleInput>(new ConsoleInput(daemon, caller, std::move(options), std::move(wake_up)));
}

ConsoleInput::ConsoleInput(Daemon& daemon, Caller caller, Options options, sys::WakeUp wake_up)
    : daemon_(daemon), caller_(caller), options_(std::move(options)), wake_up_(std::move(wake_up)) {
  thread_ = std::thread([this] { run(); });
}

ConsoleInput::~ConsoleInput() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_up_.set();
  thread_.join();
}

void ConsoleInput::add(const api::AttachInput& input) {
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return pending_.size() < kMostPending || over_ || stopping_; });
    if (over_) return;
    if (input.has_data()) pending_ += input.data();
    if (input.has_end_of_input()) end_ = true;
    if (input.has_window_size()) window_ = input.window_size();
    if (input.has_signal()) signal_ = input.signal();
  }
  wake_up_.set();
}

ConsoleInput::Batch ConsoleInput::next_batch(size_t sent, bool end_sent) {
  std::lock_guard lock(mutex_);
  Batch batch;
  batch.bytes = pending_.substr(sent, kPiece);
  batch.end = end_ && !end_sent && sent + batch.bytes.size() == pending_.size();
  batch.window = window_;
  batch.signal = std::exchange(signal_, 0);
  batch.stopping = stopping_ && batch.bytes.empty() && !batch.end;
  return batch;
}

void ConsoleInput::taken(uint64_t bytes, bool end) {
  {
    std::lock_guard lock(mutex_);
    pending_.erase(0, bytes);
    if (end) end_ = false;
  }
  room_.notify_all();
  if (options_.taken) options_.taken(bytes, end);
}

void ConsoleInput::wait_for_news(int other_fd) {
  pollfd polled[] = {{wake_up_.fd(), POLLIN, 0}, {other_fd, POLLIN, 0}};
  (void)::poll(polled, other_fd < 0 ? 1 : 2, kLookMs);  // whatever it was, everything is looked at
  wake_up_.clear();
}

bool ConsoleInput::ended_here(const std::string& id) {
  auto follow = daemon_.follow(id, options_.console);
  if (!follow) return false;
  return follow->watch->wait(~uint64_t{0}, std::chrono::milliseconds(0)).ended.contains(options_.console);
}

Result<ConsoleInput::Next> ConsoleInput::deliver_here(const std::string& id) {
  if (ended_here(id)) return Next::over;
  auto init = TRY(coprocess::InitClient::connect(daemon_.config().run_directory + "/jobs/" + id + "/init.sock"));
  size_t sent = 0;
  bool end_sent = false;
  for (;;) {
    Batch batch = next_batch(sent, end_sent);
    if (batch.stopping) return Next::over;
    if (!batch.bytes.empty()) TRY(init.input(options_.console, batch.bytes));
    sent += batch.bytes.size();
    if (batch.end) TRY(init.end_of_input(options_.console));
    end_sent = end_sent || batch.end;
    if (batch.window) {
      TRY(daemon_.window_size(id, options_.console, batch.window->rows(), batch.window->columns()));
      std::lock_guard lock(mutex_);
      window_.reset();
    }
    if (batch.signal != 0) TRY(daemon_.signal(id, options_.console, batch.signal, false));
    if (batch.bytes.size() < kPiece) wait_for_news(init.fd());
    for (const auto& frame : TRY(init.read_frames())) {
      auto went = coprocess::payload_as<init::InputTaken>(frame);
      if (frame.type != init::FrameType::input_taken || !went) continue;
      sent -= std::min<size_t>(sent, went->bytes);
      if (went->end != 0) end_sent = false;
      taken(went->bytes, went->end != 0);
    }
    if (ended_here(id)) return Next::over;
  }
}

Result<ConsoleInput::Next> ConsoleInput::deliver_elsewhere(const Located& located) {
  auto stub = api::Godwit::NewStub(TRY(daemon_.peers().channels().to(located.node)));
  grpc::ClientContext context;
  context.AddMetadata(kUidKey, std::to_string(caller_.uid));
  auto stream = stub->Attach(&context);
  api::AttachInput open;
  open.mutable_open()->set_job(located.id);
  open.mutable_open()->set_console(options_.console);
  open.mutable_open()->set_with_input(true);
  std::atomic<uint64_t> acknowledged = 0;
  std::atomic<bool> end_taken = false, broken = !stream->Write(open);
  std::thread answers([&] {
    api::Output output;
    while (stream->Read(&output)) {
      acknowledged += output.input_taken().bytes();
      if (output.input_taken().end()) end_taken = true;
      wake_up_.set();
    }
    broken = true;
    wake_up_.set();
  });
  size_t sent = 0;
  bool end_sent = false, stopped = false;
  while (!broken && !stopped) {
    Batch batch = next_batch(sent, end_sent);
    stopped = batch.stopping;
    api::AttachInput data, end, window, signal;
    data.set_data(batch.bytes);
    if (!batch.bytes.empty() && !stream->Write(data)) break;
    sent += batch.bytes.size();
    end.set_end_of_input(true);
    if (batch.end && !stream->Write(end)) break;
    end_sent = end_sent || batch.end;
    if (batch.window) {
      *window.mutable_window_size() = *batch.window;
      if (!stream->Write(window)) break;
      std::lock_guard lock(mutex_);
      window_.reset();
    }
    signal.set_signal(batch.signal);
    if (batch.signal != 0 && !stream->Write(signal)) break;
    if (batch.bytes.size() < kPiece && !stopped) wait_for_news(-1);
    uint64_t went = acknowledged.exchange(0);
    bool ended = end_taken.exchange(false);
    sent -= std::min<size_t>(sent, went);
    if (ended) end_sent = false;
    if (went > 0 || ended) taken(went, ended);
  }
  stream->WritesDone();
  if (!stopped) context.TryCancel();
  answers.join();
  if (uint64_t went = acknowledged.exchange(0); went > 0 || end_taken) taken(went, end_taken);
  grpc::Status status = stream->Finish();
  if (stopped || status.ok()) return Next::over;
  return from_status(status);
}

void ConsoleInput::run() {
  std::optional<std::chrono::steady_clock::time_point> last;
  for (;;) {
    auto located = daemon_.locate(options_.job, caller_);
    bool here = located && located->node == daemon_.config().node;
    if (options_.only_here && !here) break;
    Result<Next> next = Next::look_again;
    if (located) next = here ? deliver_here(located->id) : deliver_elsewhere(*located);
    bool hopeless = !located && located.error().kind != ErrorKind::peer_lost;
    if (hopeless || (next && *next == Next::over)) break;
    bool stopping;
    {
      std::lock_guard lock(mutex_);
      stopping = stopping_;
    }
    auto now = std::chrono::steady_clock::now();
    if (stopping && !last) last = now + kLastDelivery;
    if (last && now > *last) break;
    std::this_thread::sleep_for(kLookAgain);
  }
  {
    std::lock_guard lock(mutex_);
    over_ = true;
  }
  room_.notify_all();
  if (options_.over) options_.over();
}

}  // namespace godwit::node
