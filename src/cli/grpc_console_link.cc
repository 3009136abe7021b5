// ConsoleLink over the Attach stream. When the connection breaks (a daemon is restarted) it is opened again and output
// goes on at the offset behind what was given out last; input that the daemon had not yet taken from the broken
// connection is lost, as keys are that are typed into a terminal line while it is down.
#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "cli/grpc_channel.h"
#include "cli/output_position.h"

namespace godwit::cli {

namespace {

constexpr std::chrono::milliseconds kPause{200};
constexpr std::chrono::seconds kReconnectPatience{60};
constexpr std::chrono::milliseconds kSignalPatience{5000};

class GrpcConsoleLink final : public ConsoleLink {
 public:
  GrpcConsoleLink(std::shared_ptr<Client::Channel> channel, const Client::AttachOptions& options)
      : channel_(std::move(channel)), options_(options), connection_(open()) {}
  ~GrpcConsoleLink() override { close(); }

  Result<ConsoleEvent> next() override;
  bool input(const std::string& bytes) override;
  bool resize(sys::WindowSize size) override;
  void signal(int number) override;
  void close() override;

 private:
  struct Connection {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<api::AttachInput, api::Output>> stream;
  };

  std::shared_ptr<Connection> open();
  std::shared_ptr<Connection> current();
  bool is_closed();
  bool write(const api::AttachInput& message);
  // True once there is a new connection; false when the link was closed or there was none for too long.
  bool reconnect();
  std::optional<ConsoleEvent> event_of(api::Output& output);

  std::shared_ptr<Client::Channel> channel_;
  Client::AttachOptions options_;
  // Reader thread only:
  OutputPosition position_;
  std::optional<int> ended_;
  std::optional<std::chrono::steady_clock::time_point> broken_since_;  // until output comes again
  // Shared:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<Connection> connection_;
  bool closed_ = false;
  bool failed_ = false;
  std::optional<api::AttachInput> size_;  // the last one, for a new connection
  bool input_ended_ = false;
};

std::shared_ptr<GrpcConsoleLink::Connection> GrpcConsoleLink::open() {
  auto connection = std::make_shared<Connection>();
  connection->stream = channel_->stub->Attach(&connection->context);
  api::AttachInput message;
  api::AttachInput::Open& open = *message.mutable_open();
  open.set_job(options_.job);
  open.set_console(options_.console);
  open.set_from_offset(position_.next().value_or(0));
  open.set_from_end(options_.from_end && !position_.next());
  open.set_with_input(options_.with_input);
  connection->stream->Write(message);  // a failure shows at the first Read
  return connection;
}

std::shared_ptr<GrpcConsoleLink::Connection> GrpcConsoleLink::current() {
  std::lock_guard lock(mutex_);
  return connection_;
}

bool GrpcConsoleLink::is_closed() {
  std::lock_guard lock(mutex_);
  return closed_;
}

std::optional<ConsoleEvent> GrpcConsoleLink::event_of(api::Output& output) {
  if (output.has_ended()) ended_ = output.ended().status();
  if (!position_.advance(output.next_offset()) || output.data().empty()) return std::nullopt;
  ConsoleEvent event{.kind = ConsoleEvent::Kind::output, .stream = static_cast<int>(output.stream())};
  event.bytes = std::move(*output.mutable_data());
  return event;
}

Result<ConsoleEvent> GrpcConsoleLink::next() {
  for (;;) {
    if (ended_) return ConsoleEvent{.kind = ConsoleEvent::Kind::ended, .status = *ended_};
    std::shared_ptr<Connection> connection = current();
    api::Output output;
    if (connection->stream->Read(&output)) {
      broken_since_.reset();
      if (auto event = event_of(output)) return std::move(*event);
      continue;
    }
    grpc::Status status = connection->stream->Finish();
    if (is_closed()) return ConsoleEvent{.kind = ConsoleEvent::Kind::detached};
    // CANCELLED: not by us, so the daemon is shutting down.
    bool broken = connection_broke(status) || status.error_code() == grpc::CANCELLED;
    if (broken && reconnect()) continue;
    {
      std::lock_guard lock(mutex_);
      failed_ = true;
      changed_.notify_all();
      if (closed_) return ConsoleEvent{.kind = ConsoleEvent::Kind::detached};
    }
    if (status.ok())
      return error(ErrorKind::peer_lost,
                   fmt::format("{} ended the connection to job {}; `godwit attach {}` comes back to it",
                               channel_->address.words, options_.job, options_.job));
    ErrorKind kind = status.error_code() == grpc::DATA_LOSS ? ErrorKind::gone : ErrorKind::peer_lost;
    return error(kind, failure_of(status, channel_->address).sentence);
  }
}

bool GrpcConsoleLink::reconnect() {
  auto now = [] { return std::chrono::steady_clock::now(); };
  if (!broken_since_) broken_since_ = now();
  while (now() < *broken_since_ + kReconnectPatience) {
    bool connected = channel_->grpc->WaitForConnected(from_now(kPause));
    std::unique_lock lock(mutex_);
    // a daemon that takes connections but ends them at once must not be asked without a pause
    changed_.wait_for(lock, kPause, [&] { return closed_; });
    if (closed_) return false;
    if (!connected) continue;
    connection_ = open();
    if (size_) connection_->stream->Write(*size_);
    if (input_ended_) {
      api::AttachInput message;
      message.set_end_of_input(true);
      connection_->stream->Write(message);
    }
    changed_.notify_all();
    return true;
  }
  return false;
}

bool GrpcConsoleLink::write(const api::AttachInput& message) {
  for (;;) {
    std::shared_ptr<Connection> connection = current();
    if (connection->stream->Write(message)) return true;
    // Broken: the reader opens the next one.
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || failed_ || connection_ != connection; });
    if (closed_ || failed_) return false;
  }
}

bool GrpcConsoleLink::input(const std::string& bytes) {
  api::AttachInput message;
  if (bytes.empty()) {
    std::lock_guard lock(mutex_);
    input_ended_ = true;
    message.set_end_of_input(true);
  } else {
    message.set_data(bytes);
  }
  return write(message);
}

bool GrpcConsoleLink::resize(sys::WindowSize size) {
  api::AttachInput message;
  message.mutable_window_size()->set_rows(size.rows);
  message.mutable_window_size()->set_columns(size.columns);
  {
    std::lock_guard lock(mutex_);
    size_ = message;
  }
  return write(message);
}

void GrpcConsoleLink::signal(int number) {
  api::KillRequest request;
  request.set_job(options_.job);
  request.set_signal(number);
  request.set_console(options_.console);
  grpc::ClientContext context;
  context.set_deadline(from_now(kSignalPatience));
  api::Done done;
  channel_->stub->Kill(&context, request, &done);  // a job that is gone needs no signal
}

void GrpcConsoleLink::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  connection_->context.TryCancel();
  changed_.notify_all();
}

}  // namespace

std::unique_ptr<ConsoleLink> make_grpc_console_link(std::shared_ptr<Client::Channel> channel,
                                                    const Client::AttachOptions& options) {
  return std::make_unique<GrpcConsoleLink>(std::move(channel), options);
}

}  // namespace godwit::cli
