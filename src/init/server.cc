#include "init/server.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "init/last_words.h"
#include "init/spawn.h"

namespace godwit::init {

namespace {

// Takes values and strings from the front of a payload; `good` turns false when it is too short.
class Reader {
 public:
  Reader(const char* bytes, size_t length) : at_(const_cast<char*>(bytes)), end_(at_ + length) {}
  template <class T>
  T value() {
    T result{};
    if (static_cast<size_t>(end_ - at_) < sizeof result) {
      good = false;
      return result;
    }
    memcpy(&result, at_, sizeof result);
    at_ += sizeof result;
    return result;
  }
  char* string() {
    void* zero = good ? memchr(at_, 0, static_cast<size_t>(end_ - at_)) : nullptr;
    if (zero == nullptr) {
      good = false;
      return end_;
    }
    char* text = at_;
    at_ = static_cast<char*>(zero) + 1;
    return text;
  }
  bool good = true;

 private:
  char* at_;
  char* end_;
};

}  // namespace

Console* Server::find(uint32_t number) {
  for (auto& console : consoles_) {
    if (console->number() == number) return console.get();
  }
  return nullptr;
}

void Server::run() {
  while (!finishing_) {
    gather();
    if (poll(polled_.data(), polled_.size(), -1) < 0 && errno != EINTR) break;
    serve_ready();
    std::erase_if(clients_, [](auto& client) {
      if (client->gone) close(client->fd);
      return client->gone;
    });
  }
  end_everything();
}

// The poll set: the socket, signals, every client, and what consoles wait for.
void Server::gather() {
  polled_ = {{listening_, POLLIN, 0}, {signals_, POLLIN, 0}};
  watched_ = {{}, {}};
  for (auto& client : clients_) {
    short events = client->to_send.empty() ? POLLIN : POLLIN | POLLOUT;
    polled_.push_back({client->fd, events, 0});
    watched_.push_back({client.get(), nullptr});
  }
  if (held_) return;
  for (auto& console : consoles_) {
    for (int fd : {console->far_output(), console->far_error()}) {
      if (fd < 0 || !console->has_room_in_log()) continue;
      polled_.push_back({fd, POLLIN, 0});
      watched_.push_back({nullptr, console.get()});
    }
    if (console->wants_input() && console->far_input() >= 0) {
      polled_.push_back({console->far_input(), POLLOUT, 0});
      watched_.push_back({nullptr, console.get()});
    }
  }
}

void Server::serve_ready() {
  bool signalled = (polled_[1].revents & POLLIN) != 0;
  if (signalled) {
    signalfd_siginfo info;
    while (read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      if (info.ssi_signo == SIGTERM) finishing_ = true;
    }
  }
  for (size_t i = 2; i < polled_.size(); ++i) {
    if (polled_[i].revents == 0) continue;
    if (Client* client = watched_[i].client) {
      if (polled_[i].revents & POLLOUT) push(*client);
      if (polled_[i].revents & (POLLIN | POLLHUP | POLLERR)) read_from(*client);
    } else if (!held_) {
      Console& console = *watched_[i].console;
      if (polled_[i].events & POLLOUT) push_input(console);
      if (console.drain(false) > 0) {
        output_grew(console);
      } else if (console.terminal() && (polled_[i].revents & POLLHUP)) {
        usleep(2000);  // every process has closed the terminal: POLLHUP stays until one opens it again
      }
    }
  }
  // Only now: a program that arrived may have ended before we had a processor to hear whose console it has.
  if (signalled) reap();
  if (polled_[0].revents & POLLIN) accept_client();
}

void Server::accept_client() {
  int fd = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.uid != 0) {
    close(fd);
    return;
  }
  clients_.push_back(std::make_unique<Client>(Client{fd, false, {}, {}, false, next_client_++}));
}

void Server::read_from(Client& client) {
  char buffer[65536];
  ssize_t count = read(client.fd, buffer, sizeof buffer);
  if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
    client.gone = true;
    if (client.subscribed) {
      for (auto& console : consoles_) console->reader_left();
    }
    return;
  }
  if (count < 0) return;
  client.received.append(buffer, static_cast<size_t>(count));
  size_t at = 0;
  while (!client.gone && client.received.size() - at >= sizeof(FrameHead)) {
    FrameHead head;
    memcpy(&head, client.received.data() + at, sizeof head);
    if (head.length > kMaxPayload) {
      client.gone = true;
      return;
    }
    if (client.received.size() - at - sizeof head < head.length) break;
    handle(client, head, client.received.data() + at + sizeof head);
    at += sizeof head + head.length;
  }
  client.received.erase(0, at);
}

void Server::handle(Client& client, const FrameHead& head, const char* payload) {
  Reader reader(payload, head.length);
  Console* console = find(head.console);
  switch (head.type) {
    case FrameType::start_console: return start_console(client, head, payload);
    case FrameType::adopt_console: return adopt_console(client, head, payload);
    case FrameType::status: return tell_states(client, FrameType::console_state);
    case FrameType::console_now: return console_now(console, reader.value<AdoptConsole>());
    case FrameType::hold: return hold(client);
    case FrameType::release:
      held_ = false;
      be_ordinary();
      for (auto& each : consoles_) push_input(*each);
      return reap();
    case FrameType::finish: finishing_ = true; return;
    case FrameType::subscribe: client.subscribed = true; return;
    case FrameType::ends_taken:
      for (auto& each : consoles_) each->close_near();
      close(kWorkerPidfd);
      return;
    case FrameType::signal: return pass_signal(head.console, reader.value<SignalRequest>());
    default: break;
  }
  if (console == nullptr) {
    static const char kText[] = "no such console";
    return send(client, FrameType::error, head.console, kText, sizeof kText - 1);
  }
  if (head.type == FrameType::standard_input) {
    console->add_input(client.number, payload, head.length);
    client.gone = console->queued(client.number) > kMostInput;
    if (!held_) push_input(*console);
  } else if (head.type == FrameType::window_size) {
    WindowSize size = reader.value<WindowSize>();
    console->set_window(size.rows, size.columns);
  } else if (head.type == FrameType::credit) {
    console->set_consumed(reader.value<uint64_t>());
  } else if (head.type == FrameType::console_ends) {
    ConsoleEnds ends = console->ends();
    send(client, FrameType::console_ends, head.console, &ends, sizeof ends);
  } else {
    client.gone = true;
  }
}

void Server::start_console(Client& client, const FrameHead& head, const char* payload) {
  Reader reader(payload, head.length);
  auto start = reader.value<StartConsole>();
  constexpr uint32_t kMost = 65536;
  Program program{start.uid, start.gid, {}, nullptr, {}, {}};
  for (uint32_t i = 0; reader.good && i < std::min(start.groups, kMost); ++i) {
    program.groups.push_back(reader.value<uint32_t>());
  }
  program.directory = reader.string();
  const char* log_path = reader.string();
  for (uint32_t i = 0; reader.good && i < std::min(start.arguments, kMost); ++i) {
    program.arguments.push_back(reader.string());
  }
  for (uint32_t i = 0; reader.good && i < std::min(start.variables, kMost); ++i) {
    program.environment.push_back(reader.string());
  }
  int32_t result = -EINVAL;
  if (reader.good && !program.arguments.empty() && find(head.console) == nullptr && head.console != kEveryConsole) {
    program.arguments.push_back(nullptr);
    program.environment.push_back(nullptr);
    auto console = std::make_unique<Console>(head.console, start.terminal != 0, start.discard_stdin != 0);
    int failed = console->open_log(log_path);
    if (failed == 0) failed = console->open_ends(start.rows, start.columns, start.uid, start.gid);
    for (char* variable : program.environment) {  // the program is found by its own PATH
      if (variable != nullptr && strncmp(variable, "PATH=", 5) == 0) setenv("PATH", variable + 5, 1);
    }
    result = failed != 0 ? -failed : spawn(program, *console, cgroup_);
    if (result > 0) {
      console->pid = result;
      console->close_near();
      consoles_.push_back(std::move(console));
    }
  }
  send(client, FrameType::started, head.console, &result, sizeof result);
}

void Server::adopt_console(Client& client, const FrameHead& head, const char* payload) {
  Reader reader(payload, head.length);
  auto adopt = reader.value<AdoptConsole>();
  const char* log_path = reader.string();
  std::erase_if(consoles_, [&](auto& console) { return console->number() == head.console; });
  auto console = std::make_unique<Console>(head.console, adopt.terminal != 0, adopt.discard_stdin != 0);
  int failed = reader.good ? console->open_log(log_path) : EINVAL;
  if (failed == 0 && adopt.ended == 0) failed = console->open_ends(adopt.rows, adopt.columns, adopt.uid, adopt.gid);
  if (failed != 0) {
    std::string text = std::string("console: ") + strerror(failed);
    return send(client, FrameType::error, head.console, text.data(), text.size());
  }
  ConsoleEnds ends = console->ends();
  consoles_.push_back(std::move(console));
  send(client, FrameType::console_ends, head.console, &ends, sizeof ends);
}

// The job is frozen where it comes from, and this is its console's state.
void Server::console_now(Console* console, const AdoptConsole& now) {
  held_ = true;  // until the switchover
  if (console == nullptr) return;
  console->pid = now.pid;
  console->has_ended = now.ended != 0;
  console->status = now.status;
  if (now.stdin_closed != 0) console->set_stdin_closed();
  if (console->terminal() && now.ended == 0) console->set_window(now.rows, now.columns);
  console->go_on_at(now.log_length);
}

void Server::hold(Client& client) {
  reap();  // what has ended by now did so here
  for (auto& console : consoles_) {
    if (console->drain(true) > 0) output_grew(*console);
  }
  held_ = true;
  tell_states(client, FrameType::held);
}

// Who held it may have died without putting this back (migration/consoles.h).
void Server::be_ordinary() {
  sched_param none{};
  sched_setscheduler(0, SCHED_OTHER, &none);  // refused to nobody
}

void Server::tell_states(Client& client, FrameType type) {
  for (auto& console : consoles_) {
    ConsoleState state = console->state();
    queue(client, type, console->number(), &state, sizeof state);
  }
  send(client, type, kEveryConsole, nullptr, 0);  // all at once: who waits for them is woken once
}

void Server::pass_signal(uint32_t number, const SignalRequest& request) {
  if (request.signal <= 0 || request.signal > 64) return;
  if (number == kEveryConsole) {
    kill(-1, request.signal);
    return;
  }
  Console* console = find(number);
  if (console == nullptr || console->has_ended || console->pid <= 1) return;
  kill(request.whole_group != 0 ? -console->pid : console->pid, request.signal);
}

void Server::queue(Client& client, FrameType type, uint32_t console, const void* payload, size_t length) {
  FrameHead head{type, console, static_cast<uint32_t>(length)};
  client.to_send.append(reinterpret_cast<const char*>(&head), sizeof head);
  if (length > 0) client.to_send.append(static_cast<const char*>(payload), length);
}

void Server::send(Client& client, FrameType type, uint32_t console, const void* payload, size_t length) {
  queue(client, type, console, payload, length);
  push(client);
}

void Server::push(Client& client) {
  constexpr size_t kMostUnread = size_t{1} << 20;  // a client that does not read is dropped
  while (!client.to_send.empty()) {
    ssize_t count = ::send(client.fd, client.to_send.data(), client.to_send.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      client.gone = client.gone || errno != EAGAIN || client.to_send.size() > kMostUnread;
      return;
    }
    client.to_send.erase(0, static_cast<size_t>(count));
  }
}

void Server::tell_subscribers(FrameType type, uint32_t console, const void* payload, size_t length) {
  for (auto& client : clients_) {
    if (client->subscribed && !client->gone) send(*client, type, console, payload, length);
  }
}

void Server::output_grew(Console& console) {
  uint64_t length = console.log_length();
  tell_subscribers(FrameType::log_grew, console.number(), &length, sizeof length);
}

void Server::push_input(Console& console) {
  console.push_input([&](uint64_t number, const InputTaken& taken) {
    for (auto& client : clients_) {
      if (client->number == number) send(*client, FrameType::input_taken, console.number(), &taken, sizeof taken);
    }
  });
}

void Server::reap() {
  if (held_) return;
  int status = 0;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    for (auto& console : consoles_) {
      if (console->pid != pid || console->has_ended) continue;
      console->ended(status, state_directory_);
      output_grew(*console);
      int32_t word = status;
      tell_subscribers(FrameType::ended, console->number(), &word, sizeof word);
      if (console->number() == 0) finishing_ = true;
    }
  }
}

// The job is over: what is left of it ends, and its last words are written down.
void Server::end_everything() {
  if (held_) return;
  kill(-1, SIGKILL);
  int status = 0;
  pid_t pid;
  while ((pid = waitpid(-1, &status, 0)) > 0 || (pid < 0 && errno == EINTR)) {
    for (auto& console : consoles_) {
      if (pid > 0 && console->pid == pid && !console->has_ended) {
        console->ended(status, state_directory_);
        int32_t word = status;
        tell_subscribers(FrameType::ended, console->number(), &word, sizeof word);
      }
    }
  }
  for (auto& console : consoles_) {
    if (console->drain(true) > 0) output_grew(*console);
  }
  wait_for_last_words();
}

}  // namespace godwit::init
