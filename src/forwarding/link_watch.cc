#include "forwarding/link_watch.h"

namespace godwit::forwarding {

LinkWatch::Verdict LinkWatch::look(const MessageCounts& counts, Clock::time_point now) {
  Verdict verdict;
  bool first = !std::exchange(seen_, true);
  bool sent = !first && counts.sent > last_.sent;
  bool answered = !first && counts.answered > last_.answered;
  verdict.used = !first && counts.passed > last_.passed;
  last_ = counts;
  if (sent || verdict.used) used_at_ = now;
  if (answered) asked_at_ = {};
  if (sent && !answered && asked_at_ == Clock::time_point()) asked_at_ = now;
  verdict.no_answer = asked_at_ != Clock::time_point() && now - asked_at_ >= kSilence;
  verdict.idle = std::chrono::duration_cast<std::chrono::seconds>(now - used_at_);
  return verdict;
}

}  // namespace godwit::forwarding
