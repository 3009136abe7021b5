// Shows how far a move is, on standard error: a bar that is redrawn in place, plain lines, or lines of JSON.
#pragma once

#include <godwit/worker.pb.h>

#include <optional>
#include <string>

namespace godwit::cli {

enum class ProgressStyle { bar, plain, json, none };

// `mode`: auto | plain | json | none. auto is a bar on a terminal and nothing elsewhere.
ProgressStyle progress_style(const std::string& mode, bool terminal);

// Until all of the memory is there, if what is seen now goes on: rounds shrink by what the link carries more than the
// program writes. Nothing when that cannot be told, or never will be.
std::optional<double> time_left_ms(const worker::WorkerEvent::Progress& progress);

// "round 3, 512 MiB sent, 40 MiB left, ...", "64 MiB of 128 MiB"; empty when nothing is known.
std::string progress_amount(const worker::WorkerEvent::Progress& progress);

// One line of at most `width` columns, without a newline.
std::string progress_bar(const std::string& what, const worker::WorkerEvent::Progress& progress, size_t width);
std::string progress_plain(const std::string& what, const worker::WorkerEvent::Progress& progress);
std::string progress_json(const std::string& job, const worker::WorkerEvent::Progress& progress);

class ProgressDisplay {
 public:
  // `what`: e.g. "sim to node2".
  ProgressDisplay(ProgressStyle style, std::string job, std::string what);
  ~ProgressDisplay() { clear(); }
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;
  void show(const worker::WorkerEvent::Progress& progress);
  // Takes the bar off the screen.
  void clear();

 private:
  ProgressStyle style_;
  std::string job_;
  std::string what_;
  std::string last_stage_;
  bool drawn_ = false;
};

}  // namespace godwit::cli
