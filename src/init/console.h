// A console: what carries the terminal or the standard streams of one started program, and the log its output goes to.
//
// Owned by the server loop of godwit-init. All descriptors are non-blocking on init's side. A log that cannot be
// written loses output but never stops the program.
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include <deque>
#include <string>

#include "init/protocol.h"

namespace godwit::init {

class Console {
 public:
  Console(uint32_t number, bool terminal, bool discard_stdin)
      : number_(number), terminal_(terminal), discard_stdin_(discard_stdin) {}
  ~Console();
  Console(const Console&) = delete;

  // Makes pty or pipes. Returns 0 or an errno value.
  int open_ends(uint16_t rows, uint16_t columns, uint32_t uid, uint32_t gid);
  // Opens the log at `path` for appending.
  int open_log(const char* path);
  // What is appended begins at `length`; the history before it is written by others.
  void go_on_at(uint64_t length);
  // Moves what is waiting into the log. Returns the bytes moved. `until_empty`: without regard to readers.
  uint64_t drain(bool until_empty);
  // Queues a client's input for the program; an empty piece is the end of input.
  void add_input(uint64_t client, const char* bytes, size_t length);
  // Writes queued input as far as it goes and calls `taken(client, InputTaken)` for what went.
  template <class Taken>
  void push_input(Taken taken) {
    while (!input_.empty()) {
      InputTaken went = push_piece();
      if (went.bytes > 0 || went.end != 0) taken(input_.front().client, went);
      if (!input_.front().finished) return;
      input_.pop_front();
    }
  }
  // Queued for one client.
  uint64_t queued(uint64_t client) const;
  void set_window(uint16_t rows, uint16_t columns);
  void close_near();
  void ended(int status, const std::string& state_directory);
  ConsoleState state() const;
  ConsoleEnds ends() const;

  uint32_t number() const { return number_; }
  bool wants_input() const { return !input_.empty(); }
  bool has_room_in_log() const { return !reader_ || log_length_ < consumed_ + kReaderWindow; }
  void set_consumed(uint64_t offset) {
    reader_ = true;
    consumed_ = offset;
  }
  void reader_left() { reader_ = false; }
  int far_input() const { return terminal_ ? (stdin_closed_ ? -1 : far_output_) : far_input_; }
  int far_output() const { return far_output_; }
  int far_error() const { return far_error_; }
  pid_t pid = -1;
  bool has_ended = false;
  int status = 0;
  bool stdin_closed() const { return stdin_closed_; }
  void set_stdin_closed();
  uint64_t log_length() const { return log_length_; }
  bool terminal() const { return terminal_; }
  int near_input() const { return near_input_; }
  int near_output() const { return near_output_; }
  int near_error() const { return near_error_; }

 private:
  struct Piece {
    uint64_t client;
    std::string bytes;
    bool end;
    bool finished;
  };
  InputTaken push_piece();
  uint64_t drain_stream(int& fd, uint8_t stream, bool until_empty);
  void append(uint8_t stream, const char* bytes, size_t length);

  uint32_t number_;
  bool terminal_, discard_stdin_;
  int near_input_ = -1, near_output_ = -1, near_error_ = -1;
  int far_input_ = -1, far_output_ = -1, far_error_ = -1;
  int log_ = -1;
  uint64_t log_length_ = 0, punched_ = 0, consumed_ = 0;
  bool reader_ = false, stdin_closed_ = false;
  uint16_t rows_ = 0, columns_ = 0;
  std::deque<Piece> input_;
};

}  // namespace godwit::init
