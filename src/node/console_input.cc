#include "node/console_input.h"

#include <grpcpp/grpcpp.h>
#include <poll.h>

#include <atomic>

#include "node/peer_channels.h"

namespace godwit::node {

namespace {
constexpr size_t kMostPending = 256 << 10;
constexpr size_t kPiece = 64 << 10;
constexpr int kLookMs = 500;
constexpr std::chrono::milliseconds kLookAgain(20);
constexpr std::chrono::seconds kLastDelivery(2);
// What the other daemon has said, collected by a thread that reads it.
class Answers {
 public:
  Answers(grpc::ClientReaderWriter<api::AttachInput, api::Output>& stream, sys::WakeUp& wake_up)
      : thread_([this, &stream, &wake_up] {
          api::Output output;
          while (stream.Read(&output)) {
            add(output.input_taken());
            wake_up.set();
          }
          closed_ = true;
          wake_up.set();
        }) {}
  void join() { thread_.join(); }
  bool closed() const { return closed_; }
  // Since the last time.
  api::Output::InputTaken take() {
    std::lock_guard lock(mutex_);
    return std::exchange(news_, {});
  }

 private:
  void add(const api::Output::InputTaken& more) {
    std::lock_guard lock(mutex_);
    news_.set_bytes(news_.bytes() + more.bytes());
    news_.set_end(news_.end() || more.end());
    news_.set_moved(news_.moved() || more.moved());
    news_.set_ended(news_.ended() || more.ended());
  }
  std::mutex mutex_;
  api::Output::InputTaken news_;  // under mutex_
  std::atomic<bool> closed_ = false;
  std::thread thread_;
};

using InputStream = grpc::ClientReaderWriter<api::AttachInput, api::Output>;

bool write_data(InputStream& stream, const std::string& bytes) {
  api::AttachInput input;
  input.set_data(bytes);
  return bytes.empty() || stream.Write(input);
}

bool write_end(InputStream& stream, bool end) {
  api::AttachInput input;
  input.set_end_of_input(true);
  return !end || stream.Write(input);
}

bool write_signal(InputStream& stream, int32_t signal) {
  api::AttachInput input;
  input.set_signal(signal);
  return signal == 0 || stream.Write(input);
}

bool write_window(InputStream& stream, const std::optional<api::AttachInput::WindowSize>& window) {
  api::AttachInput input;
  if (window) *input.mutable_window_size() = *window;
  return !window || stream.Write(input);
}

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
  stop();
  thread_.join();
}

void ConsoleInput::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  room_.notify_all();
  wake_up_.set();
}

void ConsoleInput::add(const api::AttachInput& input) {
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return pending_.size() < kMostPending || over_ || stopping_; });
    if (over_ || stopping_) return;
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

void ConsoleInput::window_passed_on() {
  std::lock_guard lock(mutex_);
  window_.reset();
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
  if (ended_here(id)) return Next::ended;
  auto init = TRY(coprocess::InitClient::connect(daemon_.config().run_directory + "/jobs/" + id + "/init.sock"));
  size_t sent = 0;
  bool end_sent = false;
  for (;;) {
    Batch batch = next_batch(sent, end_sent);
    if (batch.stopping) return Next::stopped;
    if (!batch.bytes.empty()) TRY(init.input(options_.console, batch.bytes));
    sent += batch.bytes.size();
    if (batch.end) TRY(init.end_of_input(options_.console));
    end_sent = end_sent || batch.end;
    if (batch.window) {
      TRY(daemon_.window_size(id, options_.console, batch.window->rows(), batch.window->columns()));
      window_passed_on();
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
    if (ended_here(id)) return Next::ended;
  }
}

// The other daemon does as we do, for its own node, and passes on to us what was taken.
Result<ConsoleInput::Next> ConsoleInput::deliver_elsewhere(const Located& located) {
  auto stub = api::Godwit::NewStub(TRY(daemon_.peers().channels().to(located.node)));
  grpc::ClientContext context;
  context.AddMetadata(kUidKey, std::to_string(caller_.uid));
  auto stream = stub->Attach(&context);
  api::AttachInput open;
  open.mutable_open()->set_job(located.id);
  open.mutable_open()->set_console(options_.console);
  open.mutable_open()->set_with_input(true);
  bool good = stream->Write(open);
  Answers answers(*stream, wake_up_);
  size_t sent = 0;
  bool end_sent = false, stopped = false;
  api::Output::InputTaken news;
  auto look = [&] {
    news = answers.take();
    sent -= std::min<size_t>(sent, news.bytes());
    end_sent = end_sent && !news.end();
    if (news.bytes() > 0 || news.end()) taken(news.bytes(), news.end());
    return news.moved() || news.ended();
  };
  bool over = false;
  while (good && !over && !stopped && !answers.closed()) {
    Batch batch = next_batch(sent, end_sent);
    stopped = batch.stopping;
    good = write_data(*stream, batch.bytes) && write_end(*stream, batch.end) && write_window(*stream, batch.window) &&
           write_signal(*stream, batch.signal);
    if (good && batch.window) window_passed_on();
    sent += batch.bytes.size();
    end_sent = end_sent || batch.end;
    if (good && !stopped && batch.bytes.size() < kPiece) wait_for_news(-1);
    over = look();
  }
  stream->WritesDone();
  answers.join();  // all that was taken is known now
  bool ended = news.ended();
  look();
  grpc::Status status = stream->Finish();
  if (stopped) return Next::stopped;
  if (ended || news.ended()) return Next::ended;
  if (status.ok()) return Next::look_again;
  return from_status(status, located.node);
}

bool ConsoleInput::stopping() {
  std::lock_guard lock(mutex_);
  return stopping_;
}

void ConsoleInput::run() {
  std::optional<std::chrono::steady_clock::time_point> last;
  bool ended = false;
  for (;;) {
    auto located = daemon_.locate(options_.job, caller_);
    bool here = located && located->node == daemon_.config().node;
    if (options_.only_here && !here) break;
    Result<Next> next = Next::look_again;
    if (located) next = here ? deliver_here(located->id) : deliver_elsewhere(*located);
    ended = (!located && located.error().kind != ErrorKind::peer_lost) || (next && *next == Next::ended);
    if (ended || (next && *next == Next::stopped)) break;
    auto now = std::chrono::steady_clock::now();
    if (stopping() && !last) last = now + kLastDelivery;
    if (last && now > *last) break;
    std::this_thread::sleep_for(kLookAgain);
  }
  {
    std::lock_guard lock(mutex_);
    over_ = true;
  }
  room_.notify_all();
  if (options_.over) options_.over(ended);
}

}  // namespace godwit::node
