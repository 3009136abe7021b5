#include "cli/console_session.h"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <variant>

#include "cli/detach_keys.h"
#include "sys/standard_stream.h"
#include "sys/terminal.h"
#include "sys/wake_up.h"

namespace godwit::cli {

namespace {

constexpr size_t kReadSize = 64 << 10;
constexpr size_t kQueueBound = 8;  // pieces of input that wait for the job

// What goes to the job, in order, with a bound: the polling thread never blocks.
class Outbox {
 public:
  using Item = std::variant<std::string, sys::WindowSize>;
  explicit Outbox(sys::WakeUp& room) : room_(room) {}

  bool has_room() {
    std::lock_guard lock(mutex_);
    return items_.size() < kQueueBound;
  }
  // Window sizes may go over the bound: there are few of them.
  void put(Item item) {
    std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
    changed_.notify_one();
  }
  std::optional<Item> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !items_.empty(); });
    if (closed_) return std::nullopt;
    Item item = std::move(items_.front());
    items_.pop_front();
    room_.set();
    return item;
  }
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_one();
  }

 private:
  sys::WakeUp& room_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;
  bool closed_ = false;
};

// Standard output and error. A reader that went away (`godwit run ... | head`) is what SIGPIPE is to a local child: a
// program that leads gets that signal. If it ignores it and writes on, it gets SIGHUP, since no write of its own can
// fail.
class Output {
 public:
  Output(ConsoleLink& link, bool lead) : link_(link), lead_(lead) {}

  // False: nobody reads any more and the program is not ours to end.
  bool write(const ConsoleEvent& event) {
    size_t stream = event.stream == 2 ? 2 : 1;
    if (closed_[stream]) {
      press();
      return true;
    }
    if (sys::write_output(static_cast<int>(stream), event.bytes)) return true;
    closed_[stream] = true;
    if (!lead_) return false;
    link_.signal(SIGPIPE);
    told_ = std::chrono::steady_clock::now();
    return true;
  }

 private:
  void press() {
    if (pressed_ || std::chrono::steady_clock::now() - told_ < std::chrono::seconds(1)) return;
    pressed_ = true;
    link_.signal(SIGHUP);
  }

  ConsoleLink& link_;
  bool lead_;
  std::array<bool, 3> closed_{};
  std::chrono::steady_clock::time_point told_;
  bool pressed_ = false;
};

// Shows the console's output until it ends.
Result<SessionEnd> show_output(ConsoleLink& link, bool lead) {
  Output output(link, lead);
  for (;;) {
    ConsoleEvent event = TRY(link.next());
    switch (event.kind) {
      case ConsoleEvent::Kind::output:
        if (!output.write(event)) return SessionEnd{.kind = SessionEnd::Kind::interrupted, .status = SIGPIPE};
        break;
      case ConsoleEvent::Kind::ended: return SessionEnd{.kind = SessionEnd::Kind::ended, .status = event.status};
      case ConsoleEvent::Kind::detached: return SessionEnd{.kind = SessionEnd::Kind::detached, .status = 0};
    }
  }
}

class Session {
 public:
  Session(ConsoleLink& link, sys::SignalQueue& signals, const SessionOptions& options, sys::WakeUp done,
          sys::WakeUp room)
      : link_(link),
        signals_(signals),
        options_(options),
        done_(std::move(done)),
        room_(std::move(room)),
        outbox_(room_) {}

  Result<SessionEnd> run() {
    if (options_.terminal && options_.input && sys::is_terminal(0)) raw_.emplace(TRY(sys::RawMode::enter(0)));
    std::thread output([&] {
      result_ = show_output(link_, options_.lead);
      finished_ = true;
      done_.set();
    });
    std::thread input([&] { pass_input(); });
    send_window_size();
    std::optional<SessionEnd> left = poll_until_done();
    // Whatever ended it: close the link and the queue, so that both threads return.
    outbox_.close();
    link_.close();
    output.join();
    input.join();
    if (left) return *left;
    return std::move(result_);
  }

 private:
  // Something only when this side ends the session.
  std::optional<SessionEnd> poll_until_done() {
    while (!finished_) {
      bool take_input = options_.input && !input_ended_ && outbox_.has_room();
      pollfd entries[] = {{.fd = done_.fd(), .events = POLLIN, .revents = 0},
                          {.fd = room_.fd(), .events = POLLIN, .revents = 0},
                          {.fd = signals_.fd(), .events = POLLIN, .revents = 0},
                          {.fd = take_input ? 0 : -1, .events = POLLIN, .revents = 0}};
      if (!sys::wait_until_ready(entries, -1))
        return SessionEnd{.kind = SessionEnd::Kind::interrupted, .status = SIGHUP};
      if (entries[1].revents != 0) room_.clear();
      if (entries[2].revents != 0)
        if (auto end = take_signal()) return end;
      if (entries[3].revents != 0 && read_input()) return SessionEnd{.kind = SessionEnd::Kind::detached, .status = 0};
    }
    return std::nullopt;
  }

  std::optional<SessionEnd> take_signal() {
    std::optional<int> number = signals_.next();
    if (!number) return std::nullopt;
    if (*number == SIGWINCH) {
      send_window_size();
      return std::nullopt;
    }
    // A terminal that is gone leaves the job running, as closing a terminal multiplexer's window does.
    bool terminal_gone = *number == SIGHUP && options_.terminal;
    if (!options_.lead || terminal_gone) return SessionEnd{.kind = SessionEnd::Kind::interrupted, .status = *number};
    link_.signal(*number);
    return std::nullopt;
  }

  // True: the user wants to leave.
  bool read_input() {
    Result<std::string> typed = sys::read_input(0, kReadSize);
    if (!typed || typed->empty()) {
      input_ended_ = true;
      outbox_.put(std::string());
      return false;
    }
    if (!raw_) {
      outbox_.put(std::move(*typed));
      return false;
    }
    std::string keys;
    bool leave = detach_keys_.pass(*typed, keys);
    if (!keys.empty()) outbox_.put(std::move(keys));
    return leave;
  }

  void send_window_size() {
    if (!options_.terminal) return;
    auto size = sys::window_size(0);
    if (!size) size = sys::window_size(1);
    if (!size) return;
    if (std::exchange(redraw_, false)) {
      // A program on a terminal draws itself anew when the size changes, so let it.
      auto other = *size;
      ++other.columns;
      outbox_.put(other);
    }
    outbox_.put(*size);
  }

  void pass_input() {
    while (auto item = outbox_.take()) {
      bool open = std::holds_alternative<std::string>(*item) ? link_.input(std::get<std::string>(*item))
                                                             : link_.resize(std::get<sys::WindowSize>(*item));
      if (!open) return;
    }
  }

  ConsoleLink& link_;
  sys::SignalQueue& signals_;
  SessionOptions options_;
  sys::WakeUp done_;
  sys::WakeUp room_;
  Outbox outbox_;
  DetachKeys detach_keys_;
  bool input_ended_ = false;
  bool redraw_ = options_.redraw;
  std::atomic<bool> finished_ = false;
  Result<SessionEnd> result_ = SessionEnd{};
  std::optional<sys::RawMode> raw_;  // last: put back first
};

}  // namespace

Result<sys::SignalQueue> take_session_signals() {
  return sys::SignalQueue::take({SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGWINCH});
}

Result<SessionEnd> run_console_session(ConsoleLink& link, sys::SignalQueue& signals, const SessionOptions& options) {
  sys::WakeUp done = TRY(sys::WakeUp::make());
  sys::WakeUp room = TRY(sys::WakeUp::make());
  return Session(link, signals, options, std::move(done), std::move(room)).run();
}

}  // namespace godwit::cli
