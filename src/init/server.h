// The loop of godwit-init: pid 1 of a logical host. It reaps, carries consoles, and does what its socket's clients ask.
//
// Stateless beyond its consoles: a fresh one at the destination takes them over (adopt_console). A client that sends
// nonsense or goes away is dropped and nothing else happens.
#pragma once

#include <poll.h>
#include <stdint.h>

#include <memory>
#include <string>
#include <vector>

#include "init/console.h"
#include "init/protocol.h"

namespace godwit::init {

class Server {
 public:
  // `listening`: the socket; `cgroup`: of what moves; `signals`: a signalfd for SIGCHLD and SIGTERM.
  Server(int listening, int cgroup, int signals, std::string state_directory)
      : listening_(listening), cgroup_(cgroup), signals_(signals), state_directory_(std::move(state_directory)) {}

  // Runs until the program of console 0 has ended and everything else with it, or until finish.
  void run();

 private:
  struct Client {
    int fd;
    bool subscribed = false;
    std::string received, to_send;
    bool gone = false;
    uint64_t number = 0;  // never used again
  };
  // What an entry of the poll set is for.
  struct Watched {
    Client* client = nullptr;
    Console* console = nullptr;
  };

  void gather();
  void serve_ready();
  void accept_client();
  void read_from(Client& client);
  void handle(Client& client, const FrameHead& head, const char* payload);
  void start_console(Client& client, const FrameHead& head, const char* payload);
  void adopt_console(Client& client, const FrameHead& head, const char* payload);
  void console_now(Console* console, const AdoptConsole& now);
  void hold(Client& client);
  static void be_ordinary();
  void tell_states(Client& client, FrameType type);
  void pass_signal(uint32_t number, const SignalRequest& request);
  static void queue(Client& client, FrameType type, uint32_t console, const void* payload, size_t length);
  void send(Client& client, FrameType type, uint32_t console, const void* payload, size_t length);
  void push(Client& client);
  void tell_subscribers(FrameType type, uint32_t console, const void* payload, size_t length);
  void output_grew(Console& console);
  void push_input(Console& console);
  void reap();
  void end_everything();
  Console* find(uint32_t number);

  int listening_, cgroup_, signals_;
  std::string state_directory_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Console>> consoles_;
  std::vector<pollfd> polled_;
  std::vector<Watched> watched_;
  uint64_t next_client_ = 1;
  bool held_ = false;
  bool finishing_ = false;
};

}  // namespace godwit::init
