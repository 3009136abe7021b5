// One attached console of a job, as a stream of events in one direction and of input in the other.
//
// The link finds the job again by itself when the job moves or a daemon is restarted, and goes on at the offset where
// it was: an event is never lost or given twice. next() is for one thread, input() and resize() for another one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "sys/terminal.h"

namespace godwit::cli {

struct ConsoleEvent {
  enum class Kind {
    output,    // `bytes` of `stream` (1 standard output, 2 standard error)
    ended,     // the program ended with the wait(2) status word `status`; the last event
    detached,  // the link was closed; the last event
  };
  Kind kind = Kind::output;
  int stream = 1;
  std::string bytes;
  int status = 0;
};

class ConsoleLink {
 public:
  virtual ~ConsoleLink() = default;
  // Blocks. An error is final and has no event after it; ErrorKind::gone: the job is lost.
  virtual Result<ConsoleEvent> next() = 0;
  // Blocks while the job does not take more. Empty: end of input. False: the link is closed.
  virtual bool input(const std::string& bytes) = 0;
  virtual bool resize(sys::WindowSize size) = 0;
  // Sends a signal to the console's program; from any thread, does not wait for input on its way.
  virtual void signal(int number) = 0;
  // Ends next() and input() soon; from any thread.
  virtual void close() = 0;
};

}  // namespace godwit::cli
