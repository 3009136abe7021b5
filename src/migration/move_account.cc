#include "migration/move_account.h"

#include <algorithm>
#include <thread>

namespace godwit::migration {

namespace {

constexpr double kTellEveryMs = 100;
constexpr std::chrono::milliseconds kLongestNap(50);

}  // namespace

void count_frozen(const image::LogicalHost& host, const freeze::SeizedTree& tree, worker::Report& report) {
  uint32_t immediate = 0;
  uint32_t delayed = 0;
  for (const freeze::SeizedProcess& process : tree.processes()) {
    for (const freeze::SeizedThread& thread : process.threads) (thread.delayed ? delayed : immediate) += 1;
  }
  report.set_threads_immediate(immediate);
  report.set_threads_delayed(delayed);
  report.set_threads(immediate + delayed);
  report.set_processes(static_cast<uint32_t>(host.processes_size()));
}

worker::WorkerEvent::Progress MoveAccount::said() const {
  worker::WorkerEvent::Progress told = last_round_;
  told.set_stage(stage_);
  told.set_total_bytes(memory_bytes_);
  told.set_processor_share(share_);
  return told;
}

void MoveAccount::tell(const worker::WorkerEvent::Progress& progress) {
  told_ms_ = phases_.elapsed_ms();
  link_.progress(progress);
}

void MoveAccount::begin(std::string_view stage) {
  stage_ = stage;
  stage_began_ms_ = phases_.elapsed_ms();
  round_left_bytes_ = memory_bytes_;
  tell(said());
}

double MoveAccount::rate_of_stage(uint64_t done_bytes) const {
  double seconds = (phases_.elapsed_ms() - stage_began_ms_) / 1000;
  return seconds > 0 ? static_cast<double>(done_bytes) / seconds : 0;
}

void MoveAccount::sample() {
  double now = phases_.elapsed_ms();
  if (!sent_ || !series_.wants(now)) return;
  Sent sent = sent_();
  worker::Sample sample;
  sample.set_at_ms(now);
  sample.set_bytes_sent(sent.bytes);
  sample.set_requests(sent.requests);
  sample.set_pages_on_request(sent.pages_on_request);
  series_.add(std::move(sample));
}

// Waits until more may be sent; in rounds no longer than somebody's wish to end them.
void MoveAccount::pace(uint64_t bytes) {
  uint64_t fresh = bytes - std::min(bytes, paced_bytes_);
  paced_bytes_ = bytes;
  auto until = Pacer::Clock::now() + pacer_.after(fresh, Pacer::Clock::now());
  auto ended = [&] { return owed_bytes_ == 0 && (link_.cancelled() || link_.switch_wanted()); };
  while (Pacer::Clock::now() < until && !ended()) {
    std::this_thread::sleep_for(std::min<Pacer::Clock::duration>(until - Pacer::Clock::now(), kLongestNap));
  }
}

Result<bool> MoveAccount::between_chunks(uint64_t round_bytes) {
  sample();
  pace(round_bytes);
  if (link_.cancelled()) return error(ErrorKind::denied, "cancelled");
  if (phases_.elapsed_ms() - told_ms_ >= kTellEveryMs) {
    auto told = said();
    told.set_round(static_cast<uint32_t>(rounds_.size()) + 1);
    told.set_done_bytes(done_bytes_ + round_bytes);
    told.set_left_bytes(round_left_bytes_ - std::min(round_left_bytes_, round_bytes));
    told.set_total_bytes(std::max(memory_bytes_, told.done_bytes() + told.left_bytes()));
    if (told.bandwidth() <= 0) told.set_bandwidth(rate_of_stage(told.done_bytes()));
    tell(told);
  }
  return !link_.switch_wanted();
}

void MoveAccount::after_round(const DepartingHost::RoundResult& round, const address_space::Convergence& rule) {
  worker::RoundReport& report = rounds_.emplace_back();
  report.set_length_ms(Phases::milliseconds(round.length));
  report.set_start_ms(phases_.elapsed_ms() - report.length_ms());
  report.set_bytes(round.bytes);
  report.set_dirty_rate(rule.dirty_rate());
  report.set_bandwidth(rule.bandwidth());
  report.set_processor_share(share_);
  done_bytes_ += round.bytes;
  paced_bytes_ = 0;
  round_left_bytes_ = round.left_bytes;
  last_round_.set_round(static_cast<uint32_t>(rule.rounds()));
  last_round_.set_dirty_rate(rule.dirty_rate());
  last_round_.set_bandwidth(rule.bandwidth());
  last_round_.set_expected_freeze_ms(Phases::milliseconds(rule.expected_freeze()));
  auto told = said();
  told.set_done_bytes(done_bytes_);
  told.set_left_bytes(round.left_bytes);
  told.set_total_bytes(std::max(memory_bytes_, done_bytes_ + round.left_bytes));
  tell(told);
}

void MoveAccount::while_pushing(uint64_t left_bytes) {
  sample();
  if (owed_bytes_ == 0) {
    owed_bytes_ = left_bytes;
    paced_bytes_ = 0;
    last_round_.Clear();
  }
  pace(owed_bytes_ - std::min(owed_bytes_, left_bytes));
  if (left_bytes > 0 && phases_.elapsed_ms() - told_ms_ < kTellEveryMs) return;
  auto told = said();
  told.set_done_bytes(owed_bytes_ - std::min(owed_bytes_, left_bytes));
  told.set_left_bytes(left_bytes);
  told.set_total_bytes(owed_bytes_);
  told.set_bandwidth(rate_of_stage(told.done_bytes()));
  tell(told);
}

void MoveAccount::set_processor_share(double share) {
  double now = phases_.elapsed_ms();
  if (share_ > 0) slowed_ms_ += now - share_since_ms_;
  if (share > 0) least_share_ = least_share_ > 0 ? std::min(least_share_, share) : share;
  share_ = share;
  share_since_ms_ = now;
}

void MoveAccount::complete(worker::Report& report) {
  if (sent_) {
    Sent sent = sent_();
    report.set_bytes_sent(sent.bytes);
    report.set_requests(sent.requests);
    worker::Sample last;
    last.set_at_ms(phases_.elapsed_ms());
    last.set_bytes_sent(sent.bytes);
    last.set_requests(sent.requests);
    last.set_pages_on_request(sent.pages_on_request);
    series_.add(std::move(last));
  }
  report.set_rounds(static_cast<uint32_t>(rounds_.size()));
  report.mutable_rounds_made()->Assign(rounds_.begin(), rounds_.end());
  report.mutable_samples()->Assign(series_.samples().begin(), series_.samples().end());
  report.set_slowed_ms(slowed_ms_);
  report.set_least_processor_share(least_share_);
}

}  // namespace godwit::migration
