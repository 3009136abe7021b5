// The protocol of godwit-init's socket (PLACE/init.sock, a unix stream socket that only root can reach).
//
// Frames both ways: FrameHead and then `length` bytes. Numbers are the machine's own. Strings end with a zero byte.
// Shared by godwit-init (which has no exceptions and no protobuf) and coprocess/init_client.
#pragma once

#include <stdint.h>

namespace godwit::init {

constexpr uint32_t kEveryConsole = 0xffffffff;
constexpr uint32_t kMaxPayload = 4u << 20;
constexpr uint64_t kLogKeepBytes = uint64_t{64} << 20;  // older output is punched out of a log
constexpr uint64_t kMostInput = 1u << 20;               // not yet taken, of one client: more and it is dropped
constexpr uint64_t kReaderWindow = uint64_t{32} << 20;  // how far output may run ahead of an attached reader
constexpr int kWorkerPidfd = 100;                       // in init and in what is cloned from it: the worker

enum class FrameType : uint32_t {
  // to init
  start_console = 1,   // StartConsole, groups, then strings: directory, log path, arguments, environment
  standard_input = 2,  // bytes; none: end of input; answered by input_taken as the program's side takes it
  window_size = 3,     // WindowSize
  signal = 4,          // SignalRequest; console kEveryConsole: every process of the job
  status = 5,          // answered by console_state for each console, the last with console kEveryConsole
  hold = 6,            // drain all output into the logs, then touch no console and wait for no child; answered by held
  release = 7,
  finish = 8,          // kill everything and exit
  subscribe = 9,       // be sent log_grew and ended
  credit = 10,         // u64: log offset that a reader has consumed
  adopt_console = 20,  // AdoptConsole, then the log path; answered by console_ends. Its state is set by console_now
  console_ends = 21,   // asks for them
  ends_taken = 22,     // init closes the job's side of every console, and kWorkerPidfd
  console_now = 23,    // AdoptConsole of one that was adopted; holds init as `hold` does. No answer
  // from init
  started = 11,        // i32: pid, or -errno
  console_state = 12,  // ConsoleState
  held = 13,           // ConsoleState for each console, the last with console kEveryConsole and no payload
  log_grew = 14,       // u64: length of the log
  ended = 15,          // i32: wait(2) status word
  error = 16,          // text
  input_taken = 17,    // InputTaken: from the sender of standard_input; what was not taken before held never is
};

struct FrameHead {
  FrameType type;
  uint32_t console;
  uint32_t length;
};

struct StartConsole {
  uint8_t terminal, discard_stdin;
  uint16_t rows, columns;
  uint32_t uid, gid, groups, arguments, variables;
};

struct AdoptConsole {
  uint8_t terminal, discard_stdin, stdin_closed, ended;
  uint16_t rows, columns;
  int32_t pid, status;
  uint32_t uid, gid;
  uint64_t log_length;  // at which the log goes on
};

struct ConsoleState {
  int32_t pid, status;
  uint8_t ended, stdin_closed, terminal, discard_stdin;
  uint16_t rows, columns;
  uint64_t log_length;
};

// Descriptor numbers inside init, -1 for none. Terminals: the slave is near_input, the master far_output.
struct ConsoleEnds {
  int32_t near_input, near_output, near_error;  // the job's side
  int32_t far_input, far_output, far_error;     // init's side
};

// Of what one client sent for a console: written to the program's pipe or terminal, or discarded as nobody reads it.
struct InputTaken {
  uint64_t bytes;
  uint8_t end;  // the end of input, too
};

struct WindowSize {
  uint16_t rows, columns;
};

struct SignalRequest {
  int32_t signal;
  uint8_t whole_group;
};

// One piece of output in a log: this head and then `length` bytes.
struct LogRecord {
  uint8_t stream;  // 1: standard output or terminal, 2: standard error
  uint8_t zero[3];
  uint32_t length;
  int64_t realtime_ns;
};

}  // namespace godwit::init
