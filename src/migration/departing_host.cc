#include "migration/departing_host.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "address_space/own_pages.h"
#include "coprocess/process_tree.h"
#include "files/offer.h"
#include "freeze/process_list.h"
#include "freeze/remote_calls.h"
#include "migration/exchange.h"
#include "sys/text_file.h"
#include "sys/urgency.h"

namespace godwit::migration {

using address_space::Convergence;
using address_space::DepartingMemory;
using address_space::Pass;
using transport::FrameType;
using Clock = std::chrono::steady_clock;

namespace {

constexpr uint64_t kLargeBytes = uint64_t{4} << 20;  // of untracked processes: worth a round before the freeze
constexpr int kMostGrown = 3;
constexpr std::chrono::milliseconds kBetweenLooks(50);  // at what was written again
constexpr unsigned kMostHelpers = 3;

unsigned helpers() { return std::clamp(std::thread::hardware_concurrency(), 1U, kMostHelpers + 1) - 1; }

}  // namespace

DepartingHost::DepartingHost(Inventory& inventory, transport::Connection& connection,
                             address_space::DepartingObjects objects,
                             std::unique_ptr<address_space::PageShortcuts> shortcuts, const image::LogicalHost& told)
    : inventory_(inventory),
      connection_(connection),
      sender_(connection),
      shortcuts_(std::move(shortcuts)),
      objects_(std::move(objects)),
      crew_(std::make_unique<Crew>(helpers(), sys::stay_urgent)) {
  sender_.set_shortcuts(shortcuts_.get());
  follow(told);
}

// What the destination does with this layout, done here in thought: see Skeleton::adapt.
void DepartingHost::follow(const image::LogicalHost& host) {
  objects_.follow(host);
  bool anew = !coprocess::ProcessTree::can_become(told_, host);
  std::map<pid_t, DepartingMemory> now;
  for (const Inventory::MemoryOfProcess& process : inventory_.memory_of(host)) {
    auto known = memories_.extract(process.pid);
    if (!known.empty()) {
      now.insert(std::move(known));
    } else {
      now.emplace(process.pid, DepartingMemory(process.host_pid, process.pid, *crew_));
    }
    DepartingMemory& memory = now.at(process.pid);
    if (memory.host_pid() != process.host_pid) memory.become(process.host_pid);
    if (anew) memory.forget();
    memory.follow(*process.space);
  }
  for (auto& [pid, ended] : memories_) {
    redundant_pages_ += ended.redundant_pages();
    for (uint32_t object : ended.objects()) objects_.unsure(object);
  }
  memories_ = std::move(now);
  told_ = host;
}

Result<void> DepartingHost::track(freeze::SeizedTree& tree) {
  for (freeze::SeizedProcess& process : tree.processes()) {
    auto memory = memories_.find(process.listed.pid);
    if (process.threads.empty() || memory == memories_.end() || memory->second.tracked()) continue;
    pid_t host_pid = process.listed.host_pid;
    if (memory->second.host_pid() != host_pid) continue;  // a new one, with the pid of one that has ended
    auto calls = TRY(freeze::RemoteCalls::open(process.threads.front().host_tid, TRY(freeze::find_vdso(host_pid))));
    auto tracking = address_space::WriteTracking::attach(calls, host_pid, TRY(inventory_.pidfd_of(host_pid)));
    TRY(calls.close());
    memory->second.track(TRY(std::move(tracking).within("tracking writes of pid " + std::to_string(host_pid))));
  }
  return {};
}

// Processes, threads and mappings, cheaply: whether the destination must be told of another layout.
Result<std::string> DepartingHost::fingerprint() const {
  std::string text;
  for (const freeze::ListedProcess& listed : TRY(freeze::list_processes(inventory_.init_host_pid()))) {
    text += std::to_string(listed.pid) + (listed.zombie ? "z" : "");
    for (pid_t thread : listed.host_threads) text += " " + std::to_string(thread);
    auto maps = sys::read_text("/proc/" + std::to_string(listed.host_pid) + "/maps");
    if (maps) text += "\n" + *maps;
  }
  return text;
}

Result<std::optional<uint32_t>> DepartingHost::next_pid(const image::LogicalHost& host) const {
  if (host.shared_memory().empty()) return std::nullopt;
  return inventory_.next_pid();
}

// A process that was never seen may have written to what it inherited.
void DepartingHost::look_for_passing(std::optional<uint32_t> next_pid) {
  if (passing_.may_have_passed(next_pid, told_)) objects_.unsure_of_all();
}

Result<void> DepartingHost::follow_program() {
  auto next = TRY(next_pid(told_));
  TRY(follow_layout());
  look_for_passing(next);
  return {};
}

Result<void> DepartingHost::follow_layout() {
  std::string now = TRY(fingerprint());
  if (now == fingerprint_ && !TRY(inventory_.network_changed())) return {};
  std::vector<worker::Refusal> refusals;
  image::LogicalHost plan = TRY(inventory_.plan_again(refusals));
  if (!inventory_.pass(refusals)) {
    return error(ErrorKind::unsupported,
                 "the program has come to use " + refusals.front().what() + "; " + refusals.front().remedy());
  }
  TRY(files::add_hashes(inventory_.files(), plan, {}));  // of files that came into use: they may be there already
  TRY(sender_.order());
  TRY(connection_.send(FrameType::layout, plan));
  follow(plan);
  fingerprint_ = std::move(now);
  return {};
}

Result<void> DepartingHost::pass_over(const std::function<Result<void>(address_space::DepartingMemory&)>& send) {
  for (auto& [pid, memory] : memories_) {
    auto sent = send(memory);
    if (!sent && sent.error().kind == ErrorKind::gone) {  // it ended; the next layout is without it
      sender_.abandon();
      continue;
    }
    TRY(std::move(sent));
  }
  return {};
}

// The destination has everything, but for what it now says that it lacks.
Result<void> DepartingHost::end_round() {
  TRY(sender_.order());
  TRY(connection_.send(FrameType::round_end));
  lacking_pages_ = 0;
  for (;;) {
    transport::FrameHeader header = TRY(connection_.receive_header());
    if (!address_space::PresentPages::is_of_known(header.type)) {
      TRY(expect_signal(TRY(connection_.receive_payload(header)), FrameType::round_done));
      break;
    }
    TRY(take_lacking(header));
  }
  shortcuts_->found_lacking(lacking_pages_);
  shortcuts_->next_round();
  return {};
}

Result<void> DepartingHost::take_lacking(transport::FrameHeader header) {
  address_space::PagesFrame frame = TRY(address_space::receive_head(connection_, header.length));
  for (const sys::AddressRange& range : frame.ranges) lacking_pages_ += range.size() / address_space::kPageBytes;
  uint64_t referred = shortcuts_->counts().identical + shortcuts_->counts().cached;
  if (frame.rest != 0 || frame.ranges.empty() || lacking_pages_ > referred) {
    return error(ErrorKind::corrupt, "the other node lacks more pages than it was referred to");
  }
  address_space::PageOwner owner = frame.owner(header.type);
  if (owner.is_object()) {
    objects_.lacks(owner.id, frame.ranges);
    return {};
  }
  auto memory = memories_.find(frame.pid);
  if (memory != memories_.end()) memory->second.lacks(frame.ranges);
  return {};
}

// Ends when the destination has what was sent, and what it was referred to.
Result<DepartingHost::Brought> DepartingHost::round() {
  uint64_t before = sender_.counts().sent;
  uint64_t known_before = shortcuts_->references();
  TRY(find_object_writes(Pass::running));
  TRY(pass_over([&](address_space::DepartingMemory& memory) { return memory.send(Pass::running, sender_); }));
  TRY(send_objects(Pass::running));
  TRY(end_round());
  uint64_t known = shortcuts_->references() - known_before;
  known -= std::min(known, lacking_pages_);
  return Brought{(sender_.counts().sent - before + known) * address_space::kPageBytes,
                 known * address_space::kPageBytes};
}

void DepartingHost::watch(address_space::PageSender::Watch watch) {
  watch_ = std::move(watch);
  sender_.set_watch([this](uint64_t sent) { return goes_on(sent - sent_before_); });
}

Result<bool> DepartingHost::goes_on(uint64_t sent_bytes) {
  if (!TRY(watch_(sent_bytes))) return false;
  if (pays_ && Clock::now() >= next_look_) pays_ = rule_->pays(sent_bytes, written_again());
  return pays_;
}

// Seldom enough that it costs the program next to nothing.
uint64_t DepartingHost::written_again() {
  constexpr int kRarely = 30;  // times as long as it takes
  auto begin = Clock::now();
  uint64_t bytes = 0;
  for (auto& [pid, memory] : memories_) bytes += memory.written_again();
  auto end = Clock::now();
  next_look_ = end + std::max<Clock::duration>(kBetweenLooks, kRarely * (end - begin));
  return bytes;
}

Result<void> DepartingHost::track_lasting(const TrackNew& track_new) {
  std::set<pid_t> untracked;
  for (auto& [pid, memory] : memories_) {
    if (!memory.tracked()) untracked.insert(memory.host_pid());
  }
  bool lasting = std::ranges::any_of(untracked, [&](pid_t host_pid) { return untracked_.contains(host_pid); });
  untracked_ = std::move(untracked);
  if (!lasting) return {};
  return track_new();
}

// What would be left for the freeze because it is not tracked.
Result<uint64_t> DepartingHost::untracked_bytes() const {
  uint64_t bytes = 0;
  for (const Inventory::MemoryOfProcess& process : inventory_.memory_of(told_)) {
    if (memories_.at(process.pid).tracked()) continue;
    auto own = address_space::own_bytes(process.host_pid, *process.space);
    if (!own && own.error().kind == ErrorKind::gone) continue;
    bytes += TRY(std::move(own));
  }
  return bytes;
}

Result<std::optional<Convergence::Verdict>> DepartingHost::run_rounds(Convergence& rule, const SendOthers& send_others,
                                                                      const Report& report, const TrackNew& track_new) {
  int grown = 0;  // how often large new processes have kept us from the freeze
  rule_ = &rule;
  for (;;) {
    TRY(send_others());
    auto begin = Clock::now();  // what was written to memory before is sent in this round
    pays_ = true;
    next_look_ = begin + kBetweenLooks;
    TRY(follow_program());
    TRY(track_lasting(track_new));
    Brought brought = TRY(round());
    uint64_t bytes = brought.bytes;
    sent_before_ = sender_.counts().sent * address_space::kPageBytes;  // whoever watches is told of a round's once
    auto length = Clock::now() - begin;
    std::optional<uint64_t> written;
    if (rule.is_large(bytes)) written = written_again();
    auto verdict = rule.after({bytes, length, begin - last_begin_.value_or(begin), brought.known_bytes, written});
    last_begin_ = begin;
    left_over_ = bytes / address_space::kPageBytes;
    auto guess = static_cast<uint64_t>(rule.dirty_rate() * std::chrono::duration<double>(length).count());
    report({bytes - brought.known_bytes, length, written.value_or(guess)});
    TRY(sender_.ask_watch());
    if (!pays_ && TRY(untracked_bytes()) >= kLargeBytes) TRY(track_new());
    if (!pays_) return Convergence::Verdict::stuck;
    if (sender_.stopped()) return std::nullopt;
    if (verdict == Convergence::Verdict::another) continue;
    if (lacking_pages_ * address_space::kPageBytes > kLargeBytes && grown < kMostGrown) {
      ++grown;
      continue;
    }
    if (grown == kMostGrown || TRY(untracked_bytes()) < kLargeBytes) return verdict;
    ++grown;
    TRY(track_new());
  }
}

// Each pass takes as long as there is to tell, and meanwhile the program writes: the next one has less.
Result<void> DepartingHost::tell_of_rest() {
  constexpr int kMostPasses = 5;
  constexpr size_t kFewRanges = 500;
  sender_.set_watch([this](uint64_t sent) -> Result<bool> {  // it may be called off, but not stopped any more
    TRY(watch_(sent - sent_before_));
    return true;
  });
  size_t told = SIZE_MAX;
  for (int pass = 0; pass < kMostPasses && told > kFewRanges; ++pass) {
    TRY(follow_program());
    TRY(find_object_writes(Pass::running));
    told = 0;
    TRY(pass_over([&](address_space::DepartingMemory& memory) -> Result<void> {
      told += TRY(memory.leave(Pass::running, {}, sender_));
      return {};
    }));
    TRY(send_objects(Pass::running));  // which cannot be owed
    TRY(end_round());
    left_over_ = told;
  }
  return {};
}

// The destination puts these pages while the program is being stopped.
Result<void> DepartingHost::send_last_writes(bool leave_rest) {
  constexpr int kMostPasses = 6;
  constexpr uint64_t kFew = 64, kMany = 2048;  // pages, or ranges of what is owed
  if (left_over_ > kMany) return {};           // another round, but a bad one
  shortcuts_->stop_referring();
  sender_.set_watch({});
  uint64_t before = UINT64_MAX;
  for (int pass = 0; pass < kMostPasses; ++pass) {
    uint64_t told = 0;
    uint64_t sent_before = sender_.counts().sent;
    TRY(pass_over([&](DepartingMemory& memory) -> Result<void> {
      if (!leave_rest) return memory.send(Pass::closing, sender_);
      told += TRY(memory.leave(Pass::closing, {}, sender_));
      return {};
    }));
    TRY(connection_.flush());
    told += sender_.counts().sent - sent_before;
    shortcuts_->next_round();  // of one connection what was sent before is there before what follows
    if (told < kFew || told > kMany || told > before / 4 * 3) break;  // the next would not find much less
    before = told;
  }
  return {};
}

uint64_t DepartingHost::look_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [pid, memory] : memories_) bytes += memory.look_bytes();
  return bytes;
}

void DepartingHost::begin_to_look() {
  if (!needs_help_to_look()) return;
  std::vector<std::pair<address_space::FrozenLook*, size_t>> parts;
  for (auto& [pid, memory] : memories_) {
    address_space::FrozenLook* look = memory.prepare_look();
    for (size_t part = 0; look != nullptr && part < look->parts(); ++part) parts.emplace_back(look, part);
  }
  size_t count = parts.size();
  crew_->begin(count, [parts = std::move(parts)](size_t i) { parts[i].first->look_at(parts[i].second); });
}

Result<void> DepartingHost::send_rest(const image::LogicalHost& state) {
  TRY(follow_frozen(state));
  for (auto& [pid, memory] : memories_) TRY(memory.send(Pass::frozen, sender_));
  return send_objects(Pass::frozen);
}

Result<void> DepartingHost::follow_frozen(const image::LogicalHost& state) {
  crew_->finish();
  follow(state);
  look_for_passing(TRY(next_pid(state)));
  return find_object_writes(Pass::frozen);
}

Result<void> DepartingHost::find_object_writes(Pass pass) {
  if (told_.shared_memory().empty()) return {};
  for (auto& [pid, memory] : memories_) {
    auto found = memory.find_object_writes(pass, objects_);
    if (found) continue;
    bool ended = pass == Pass::running && found.error().kind == ErrorKind::gone;
    if (!ended) return found;
    for (uint32_t object : memory.objects()) objects_.unsure(object);
  }
  return {};
}

Result<void> DepartingHost::send_objects(Pass pass) {
  return objects_.send(pass == Pass::running, sender_,
                       [this](uint32_t object) { return inventory_.shared_memory().fd_of(object); });
}

namespace {

// What a thread touches first: its stack, its thread-local memory, and where its registers point.
void add_first_touched(const user_regs_struct& registers, address_space::RangeSet& pages) {
  constexpr uint64_t kPage = address_space::kPageBytes;
  auto add = [&](uint64_t address, uint64_t before, uint64_t behind) {
    uint64_t page = address & ~(kPage - 1);
    if (page > before * kPage) pages.add({page - before * kPage, page + (behind + 1) * kPage});
  };
  add(registers.rsp, 2, 7);
  add(registers.fs_base, 2, 1);
  for (uint64_t value : {registers.rip, registers.rbp, registers.rax, registers.rbx, registers.rcx, registers.rdx,
                         registers.rsi, registers.rdi, registers.r8, registers.r9, registers.r10, registers.r11,
                         registers.r12, registers.r13, registers.r14, registers.r15}) {
    add(value, 0, 0);
  }
}

}  // namespace

Result<void> DepartingHost::leave_rest(const image::LogicalHost& state, const freeze::SeizedTree& tree,
                                       address_space::PageServer& server) {
  TRY(follow_frozen(state));
  for (const freeze::SeizedProcess& process : tree.processes()) {
    auto memory = memories_.find(process.listed.pid);
    if (memory == memories_.end()) continue;
    address_space::RangeSet at_once;
    for (const freeze::SeizedThread& thread : process.threads) add_first_touched(thread.registers, at_once);
    TRY(memory->second.leave(Pass::frozen, at_once, sender_));
    server.owe(process.listed.host_pid, process.listed.pid, memory->second.take_owed());
  }
  return send_objects(Pass::frozen);
}

Result<void> DepartingHost::write_cache(const std::string& path) const {
  auto cache = TRY(address_space::PageCacheWriter::create(path));
  for (const auto& [pid, memory] : memories_) TRY(cache.add(memory.host_pid(), TRY(memory.own_ranges())));
  for (const image::SharedMemory& object : told_.shared_memory()) {
    if (!objects_.travels(object)) continue;
    TRY(cache.add_object(TRY(inventory_.shared_memory().fd_of(object.id()))));
  }
  return cache.finish();
}

uint64_t DepartingHost::redundant_pages() const {
  uint64_t pages = redundant_pages_ + objects_.redundant_pages();
  for (auto& [pid, memory] : memories_) pages += memory.redundant_pages();
  return pages;
}

}  // namespace godwit::migration
