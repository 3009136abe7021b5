#include "migration/source.h"

#include <algorithm>
#include <thread>

#include "address_space/convergence.h"
#include "address_space/own_pages.h"
#include "coprocess/init_client.h"
#include "files/carrier.h"
#include "files/offer.h"
#include "forwarding/held_packets.h"
#include "freeze/frozen_cgroup.h"
#include "freeze/seized_tree.h"
#include "freeze/slowed_job.h"
#include "migration/clocks.h"
#include "migration/compatibility.h"
#include "migration/consoles.h"
#include "migration/departing_host.h"
#include "migration/earlier_visit.h"
#include "migration/exchange.h"
#include "migration/fault_point.h"
#include "migration/inventory.h"
#include "migration/left_behind.h"
#include "migration/lock_handover.h"
#include "migration/move_account.h"
#include "migration/page_counts.h"
#include "migration/phases.h"
#include "migration/prediction.h"
#include "migration/spoken_words.h"
#include "migration/stop.h"
#include "migration/switchover.h"
#include "objects/tcp_rest.h"
#include "sys/descriptors.h"
#include "sys/namespaces.h"
#include "sys/residency.h"
#include "sys/text_file.h"
#include "sys/urgency.h"
#include "transport/connection.h"

namespace godwit::migration {

namespace {

using address_space::MirrorWriter;
using transport::Connection;
using transport::FrameType;

constexpr std::chrono::microseconds kSpin(150);
constexpr size_t kSpareHeap = 512 << 10;              // for what is captured in the freeze
constexpr std::chrono::seconds kSilencePatience(30);  // while the program is frozen
constexpr double kMostNewsMs = 1000;                  // that the other side can take to tell us, beside a busy program
constexpr double kLeastShare = 0.01;                  // of a processor: what a program is slowed down to at most

uint64_t to_mib(double bytes) { return static_cast<uint64_t>(bytes / (1 << 20)); }

class Source {
 public:
  Source(const worker::SourceOrder& order, DaemonLink& link, FaultInjector faults)
      : order_(order), link_(link), faults_(faults) {}

  // The stages, in order. Until the switchover an Error means: the program runs on here and never knew.
  Result<void> run();
  std::string_view stage() const { return account_.stage(); }

 private:
  Result<freeze::KernelTasks> kernel_tasks();
  Result<wire::Offer> make_offer(Inventory& inventory, std::vector<worker::Refusal>& refusals);
  Result<wire::Offer> look_at_program(Connection& connection, Inventory& inventory,
                                      std::vector<worker::Refusal>& refusals);
  Result<void> tell_refused(std::vector<worker::Refusal> refusals, const wire::Offer& offer,
                            const wire::OfferAnswer& answer);
  Result<void> tell_dry_run(const wire::Offer& offer, const wire::OfferAnswer& answer);
  Result<wire::FinalState> capture(Inventory& inventory, freeze::SeizedTree& tree, const HeldConsoles& held);
  Result<void> migrate(Connection& connection, coprocess::InitClient& init, Inventory& inventory,
                       objects::SocketCapture& sockets, const wire::Offer& offer, const wire::OfferAnswer& answer);
  Result<void> finish(Connection& connection, freeze::SeizedTree tree, const DepartingHost& memory,
                      const files::Carrier& carrier);
  Result<void> send_files(Connection& connection, files::Carrier& carrier);
  Result<void> copy_while_it_runs(Inventory& inventory, DepartingHost& memory, Connection& connection,
                                  const DepartingHost::SendOthers& send_files);
  Result<void> track_writes(Inventory& inventory, DepartingHost& memory);
  Result<void> pretransfer(Inventory& inventory, DepartingHost& memory, const DepartingHost::SendOthers& send_files);
  Result<bool> go_on_after_stuck(address_space::Convergence& rule);
  Result<bool> slow_down();
  Result<void> let_run_at_full_speed();
  Result<void> move_frozen(Connection& connection, DepartingHost& memory, freeze::SeizedTree& tree,
                           objects::StillSockets& still, const wire::FinalState& state, files::Carrier& carrier,
                           LogSender& logs, forwarding::HeldPackets& packets);
  Result<void> await_switchover(Connection& connection, freeze::SeizedTree& tree, objects::LockSet& locks);
  Result<void> discard(const DepartingHost& memory);
  const worker::SourceOrder& order_;
  DaemonLink& link_;
  FaultInjector faults_;
  Phases phases_{"source"};
  MoveAccount account_{link_, phases_};
  worker::Report report_;
  std::chrono::steady_clock::time_point frozen_at_;
  double already_running_ms_ = 0;  // there, when we were told of it
  bool leave_rest_ = false;        // post-copy: what is not sent by the freeze is fetched by the running program
  std::unique_ptr<address_space::PageServer> page_server_;
  std::unique_ptr<address_space::SendingStreams> streams_;
  std::optional<MirrorWriter> mirror_;       // of what is left behind
  std::optional<freeze::SlowedJob> slowed_;  // for rounds that did not get smaller
};

Result<wire::Offer> Source::make_offer(Inventory& inventory, std::vector<worker::Refusal>& refusals) {
  wire::Offer offer;
  TRY(describe_this_node(offer));
  offer.set_migration(order_.migration());
  offer.set_job(order_.place().job());
  *offer.mutable_place() = order_.place();
  *offer.mutable_consoles() = order_.consoles();
  *offer.mutable_plan() = TRY(inventory.plan_patiently(refusals));
  uint64_t memory_bytes = 0;
  for (const Inventory::MemoryOfProcess& process : inventory.memory_of(offer.plan())) {
    auto bytes = address_space::own_bytes(process.host_pid, *process.space);
    if (!bytes && bytes.error().kind == ErrorKind::gone) continue;  // it has ended: an estimate needs no more
    memory_bytes += TRY(std::move(bytes));
  }
  account_.set_memory_bytes(memory_bytes + inventory.shared_memory().bytes());
  offer.set_memory_bytes(memory_bytes);
  TRY(files::add_hashes(inventory.files(), *offer.mutable_plan(), {}));
  TRY(describe_clocks(order_.place().init_pid(), offer));
  report_.set_processes(static_cast<uint32_t>(offer.plan().processes_size()));
  return offer;
}

Result<wire::Offer> Source::look_at_program(Connection& connection, Inventory& inventory,
                                            std::vector<worker::Refusal>& refusals) {
  auto offer = make_offer(inventory, refusals);
  if (!offer) send_abort(connection, offer.error(), account_.stage());
  return offer;
}

Result<void> Source::tell_refused(std::vector<worker::Refusal> refusals, const wire::Offer& offer,
                                  const wire::OfferAnswer& answer) {
  refusals.insert(refusals.end(), answer.refusals().begin(), answer.refusals().end());
  worker::WorkerEvent event;
  event.mutable_refused()->mutable_refusals()->Assign(refusals.begin(), refusals.end());
  *event.mutable_refused()->mutable_report() = report_;
  for (const worker::FilePlan& row : files::plan_rows(offer.plan(), answer)) {
    *event.mutable_refused()->mutable_report()->add_files() = row;
  }
  return link_.event(event);
}

Result<void> Source::tell_dry_run(const wire::Offer& offer, const wire::OfferAnswer& answer) {
  worker::WorkerEvent event;
  worker::Report& report = *event.mutable_dry_run()->mutable_report();
  report = report_;
  report.set_pages_total(account_.memory_bytes() / address_space::kPageBytes);
  uint64_t in_objects = account_.memory_bytes() - offer.memory_bytes();
  predict(order_.options(), {offer.memory_bytes(), in_objects}, !order_.mirror().empty(), phases_.elapsed_ms(), report);
  for (const image::Process& process : offer.plan().processes()) {
    report.set_threads(report.threads() + static_cast<uint32_t>(process.threads_size()));
  }
  for (const worker::FilePlan& row : files::plan_rows(offer.plan(), answer)) *report.add_files() = row;
  return link_.event(event);
}

// The program's whole state, asked of it while it is frozen.
Result<wire::FinalState> Source::capture(Inventory& inventory, freeze::SeizedTree& tree, const HeldConsoles& held) {
  wire::FinalState state;
  std::vector<worker::Refusal> refusals;
  *state.mutable_host() = TRY(inventory.full(tree, refusals));
  if (!refusals.empty()) {
    return error(inventory.pass(refusals) ? ErrorKind::retry : ErrorKind::unsupported,
                 "since it was looked at the program has come to use " + refusals.front().what() + "; " +
                     refusals.front().remedy());
  }
  for (worker::Console& console : TRY(held.now(consoles_of(order_)))) {
    if (console.number() == 0 && console.ended()) return error(ErrorKind::gone, "the program has ended");
    *state.add_consoles() = std::move(console);
  }
  return state;
}

// Content of files, while the program runs. A wish to switch is heard when it is through.
Result<void> Source::send_files(Connection& connection, files::Carrier& carrier) {
  uint64_t sent = 0;
  TRY(carrier.send_content([&](FrameType type, const google::protobuf::MessageLite& message) -> Result<void> {
    TRY(account_.between_chunks(sent += message.ByteSizeLong()));  // called off, or held back
    return connection.send(type, message);
  }));
  TRY(account_.between_chunks(0));
  return connection.flush();
}

// As the method asks. Afterwards leave_rest_ says whether pages stay behind at the switchover.
Result<void> Source::copy_while_it_runs(Inventory& inventory, DepartingHost& memory, Connection& connection,
                                        const DepartingHost::SendOthers& send_files) {
  const std::string& method = order_.options().memory();
  streams_ = std::make_unique<address_space::SendingStreams>(connection, streams_wanted(order_.options()),
                                                             [this] { return connect_to_destination(order_); });
  leave_rest_ = method == "postcopy";
  if (method != "precopy" && method != "hybrid") return {};
  account_.begin("rounds");
  memory.travel_by(streams_.get());
  TRY(pretransfer(inventory, memory, send_files));
  memory.travel_by(nullptr);
  TRY(streams_->await_made());
  account_.set_processor_share(0);
  return {};
}

// A thread without processor time would not stop either.
Result<void> Source::let_run_at_full_speed() { return slowed_ ? slowed_->let_go() : Result<void>(); }

// A stop of its own, of every process that is not tracked yet.
Result<void> Source::track_writes(Inventory& inventory, DepartingHost& memory) {
  auto stopped_at = std::chrono::steady_clock::now();
  {
    sys::Urgency urgency = sys::Urgency::begin();
    TRY(let_run_at_full_speed());
    freeze::SeizedTree tree = TRY(stop_all(inventory, order_.place()));
    TRY(inventory.note_calls(tree));
    TRY(memory.track(tree));
  }
  double stopped_ms = Phases::milliseconds(std::chrono::steady_clock::now() - stopped_at);
  report_.set_tracking_stop_ms(std::max(report_.tracking_stop_ms(), stopped_ms));
  return {};
}

// Memory travels while the program runs. Afterwards the destination lacks only what was written in the last moments.
Result<void> Source::pretransfer(Inventory& inventory, DepartingHost& memory,
                                 const DepartingHost::SendOthers& send_files) {
  TRY(track_writes(inventory, memory));
  address_space::Convergence::Limits limits;
  const worker::MoveOptions& options = order_.options();
  if (options.max_freeze_ms() > 0) limits.max_freeze = std::chrono::milliseconds(options.max_freeze_ms());
  if (options.max_rounds() > 0) limits.max_rounds = static_cast<int>(options.max_rounds());
  limits.rest_may_follow = what_if_stuck(options) == "postcopy" && !mirror_;  // which is written in the freeze
  limits.memory_bytes = account_.memory_bytes();
  address_space::Convergence rule(limits);
  memory.watch([this](uint64_t round_bytes) { return account_.between_chunks(round_bytes); });
  for (;;) {
    auto verdict = TRY(memory.run_rounds(
        rule, send_files, [&](const DepartingHost::RoundResult& round) { account_.after_round(round, rule); },
        [&] { return track_writes(inventory, memory); }));
    report_.set_switched_by_hand(!verdict);
    leave_rest_ = !verdict;
    bool over = !verdict || *verdict != address_space::Convergence::Verdict::stuck || !TRY(go_on_after_stuck(rule));
    if (over) return leave_rest_ ? memory.tell_of_rest() : Result<void>();
  }
}

// Whether to make further rounds although they do not get smaller. Otherwise leave_rest_ says what becomes of the rest.
Result<bool> Source::go_on_after_stuck(address_space::Convergence& rule) {
  std::string what_then = what_if_stuck(order_.options());
  if (what_then == "throttle" && rule.may_go_on() && TRY(slow_down())) {
    rule.give_another_chance();
    return true;
  }
  leave_rest_ = what_then == "postcopy";
  if (leave_rest_ || what_then == "freeze") return false;
  return error(ErrorKind::exhausted,
               "pre-copy does not converge: the program writes " + std::to_string(to_mib(rule.dirty_rate())) +
                   " MiB/s" + (slowed_ ? ", slowed down as it was," : "") + " and the link carries " +
                   std::to_string(to_mib(rule.bandwidth())) +
                   " MiB/s; move it with --memory hybrid, allow a longer --max-freeze, or --on-timeout freeze");
}

// Holds the program to a quarter of what it could use so far. False: it is as slow as it can be made.
Result<bool> Source::slow_down() {
  double share = account_.processor_share();
  if (share > 0 && share <= kLeastShare) return false;
  if (!slowed_) slowed_.emplace(TRY(freeze::SlowedJob::prepare(order_.place().cgroup())));
  share = share > 0 ? share / 4 : static_cast<double>(std::thread::hardware_concurrency()) / 4;
  share = std::max(share, kLeastShare);
  TRY(slowed_->hold_to(share).within("slowing the program down"));
  account_.set_processor_share(share);
  return true;
}

Result<void> Source::move_frozen(Connection& connection, DepartingHost& memory, freeze::SeizedTree& tree,
                                 objects::StillSockets& still, const wire::FinalState& state, files::Carrier& carrier,
                                 LogSender& logs, forwarding::HeldPackets& packets) {
  TRY(connection.send(FrameType::final_state, state));
  TRY(connection.flush());
  faults_.at(FaultPoint::source_state_sent, &connection);
  TRY(logs.send_rest(connection, consoles_of(state)));
  if (leave_rest_) {
    TRY(memory.leave_rest(state.host(), tree, *page_server_));
    leave_rest_ = !page_server_->owes_nothing();  // the other side concludes the same from what it was told
    if (leave_rest_ && mirror_) TRY(write_mirror(*mirror_, order_, *page_server_, report_));
  } else {
    TRY(memory.send_rest(state.host()));
  }
  TRY(receive_signal(connection, FrameType::packets_held, kSpin));  // it comes before what says which files it needs
  TRY(carrier.send_changes(connection, state.host()));
  TRY(send_signal(connection, FrameType::memory_end));
  faults_.at(FaultPoint::source_memory_sent, &connection);
  TRY(packets.pass_on());
  if (order_.makes_switchover()) TRY(say_commit_soon(link_));
  if (leave_rest_) page_server_->start();  // requests come as soon as the other side puts the program together
  still.thaw();
  return tree.make_resumable();  // only now: it may write into the program's memory, which had to be sent as it was
}

// Returns when the destination has become the process. "Go" is said before the destination is ready, so that it need
// not wait for it; once it is sent only the directory knows for sure: from here on the cgroup is frozen, so that not
// even our death lets this copy run before the daemon has asked.
Result<void> Source::await_switchover(Connection& connection, freeze::SeizedTree& tree, objects::LockSet& locks) {
  std::string cgroup = order_.place().cgroup() + "/procs";
  freeze::FrozenCgroup frozen = TRY(freeze::FrozenCgroup::freeze(cgroup));
  faults_.at(FaultPoint::source_ready, &connection);
  auto sent = connection.send(FrameType::go);
  if (sent) sent = connection.flush();
  if (sent && order_.makes_switchover()) sent = make_switchover(connection, link_, faults_);
  auto answer =
      sent ? hear_of_commit(connection, locks, tree, cgroup) : Result<wire::Committed>(std::unexpected(sent.error()));
  if (answer) {
    report_.mutable_phases()->Add(answer->phases().begin(), answer->phases().end());
    report_.set_destination_peak_memory_bytes(answer->peak_memory_bytes());
    report_.set_warning(answer->warning());
    already_running_ms_ = std::clamp(answer->running_ms(), 0.0, kMostNewsMs);
  } else {
    TRY(fence(link_, answer.error()));
    connection.shut_down();  // the other side does not know what we do; it comes again, or its daemon tells it
  }
  std::move(frozen).commit();
  locks.release_here();
  return {};
}

// Loaded by the daemon once for all; or by us.
Result<freeze::KernelTasks> Source::kernel_tasks() {
  auto loaded = freeze::KernelTasks::open({order_.kernel_programs().begin(), order_.kernel_programs().end()});
  return loaded ? std::move(loaded) : freeze::KernelTasks::load();
}

Result<void> Source::run() {
  Connection connection = TRY(connect_to_destination(order_));
  phases_.end("connect");
  account_.limit(order_.options().bandwidth());
  account_.count_by([&]() -> MoveAccount::Sent {
    uint64_t requests = page_server_ ? page_server_->requests() : 0;
    uint64_t pages = page_server_ ? page_server_->pages_on_request() : 0;
    uint64_t by_streams = streams_ ? streams_->bytes_sent() : 0;
    return {connection.bytes_sent() + by_streams + pages * address_space::kPageBytes, requests, pages};
  });
  faults_.at(FaultPoint::source_connected, &connection);

  account_.begin("offering");
  coprocess::InitClient init = TRY(coprocess::InitClient::connect(order_.place().run_directory() + "/init.sock"));
  UniqueFd init_pidfd = TRY(sys::open_pidfd(order_.place().init_pid()));
  objects::ConsoleEnds ends = TRY(console_ends(init, init_pidfd.get(), consoles_of(order_)));
  files::FileTable table =
      TRY(files::FileTable::of_job(order_.place().init_pid(), files::hash_store_of(order_.place())));
  auto tasks = kernel_tasks();  // without it every question is asked of the program itself
  objects::SocketCapture sockets = TRY(
      objects::SocketCapture::open(order_.place().init_pid(), init_pidfd.get(), order_.place().cgroup() + "/procs"));
  auto network =
      TRY(objects::NetworkSettings::open(order_.place().init_pid(), init_pidfd.get(), given_interface(order_.place())));
  Inventory inventory(order_.place().init_pid(), std::move(ends), std::move(table), tasks ? &*tasks : nullptr, sockets,
                      network);
  std::vector<worker::Refusal> refusals;
  wire::Offer offer = TRY(look_at_program(connection, inventory, refusals));
  offer.set_judge_only(!refusals.empty() || order_.options().dry_run());
  TRY(connection.send(FrameType::offer, offer));
  auto answer = TRY(receive<wire::OfferAnswer>(connection, FrameType::offer_answer));
  phases_.end("offer");
  faults_.at(FaultPoint::source_offered, &connection);
  if (!refusals.empty() || answer.refusals_size() > 0) return tell_refused(std::move(refusals), offer, answer);
  if (order_.options().dry_run()) return tell_dry_run(offer, answer);
  return migrate(connection, init, inventory, sockets, offer, answer);
}

// Everything can be moved. The destination prepares; the program runs, is frozen, and runs there.
Result<void> Source::migrate(Connection& connection, coprocess::InitClient& init, Inventory& inventory,
                             objects::SocketCapture& sockets, const wire::Offer& offer,
                             const wire::OfferAnswer& answer) {
  account_.begin("preparing");
  files::Carrier carrier(inventory.files(), offer.plan(), answer, order_.place().scratch_directory());
  LogSender logs;
  auto ready = TRY(receive<wire::SkeletonReady>(connection, FrameType::skeleton_ready));
  phases_.end("prepare");
  faults_.at(FaultPoint::source_skeleton_ready, &connection);
  if (link_.cancelled()) return error(ErrorKind::denied, "cancelled");

  auto packets = TRY(forwarding::HeldPackets::prepare(order_.place().network(), order_.destination()));
  auto shortcuts = TRY(address_space::PageShortcuts::create());
  if (!order_.mirror().empty()) mirror_.emplace(TRY(MirrorWriter::create(order_.mirror(), offer.memory_bytes())));
  if (order_.options().cache()) shortcuts->set_cached(TRY(receive_cached(connection, account_.memory_bytes())));
  DepartingHost memory(inventory, connection, TRY(address_space::DepartingObjects::create(files::shared_files(answer))),
                       std::move(shortcuts), offer.plan());
  if (may_leave_pages(order_.options()))
    page_server_ = TRY(address_space::PageServer::create(TRY(connect_to_destination(order_))));
  // Only now does the other side read: before, it waits for that connection, and this may be any amount.
  TRY(logs.send_history(connection, consoles_of(order_)));
  TRY(send_files(connection, carrier));
  auto copied = copy_while_it_runs(inventory, memory, connection, [&] { return send_files(connection, carrier); });
  if (!copied) return explained(connection, std::move(copied.error()));

  // What is left is little, or is to be fetched by the running program.
  account_.begin("frozen");
  sys::touch_heap(kSpareHeap);
  sys::reserve_descriptors(static_cast<size_t>(offer.plan().descriptions_size()));
  connection.set_patience(kSilencePatience);
  auto send_last_writes = [&]() -> Result<void> {
    auto sent = send_signal(connection, FrameType::freeze_soon);  // nobody is to wait for a processor there
    bool limited = order_.options().bandwidth() > 0;              // which is kept while the program runs
    if (sent && !limited) sent = memory.send_last_writes(leave_rest_);
    return sent ? Result<void>() : explained(connection, std::move(sent.error()));
  };
  TRY(send_last_writes());
  bool one_machine = ready.boot_id() == offer.boot_id();  // two nodes of a lab: not on the processor of the other side
  auto urgency = std::optional(one_machine ? sys::Urgency::begin_beside(static_cast<int>(ready.processor()))
                                           : sys::Urgency::begin());
  HeldConsoles held(init, order_.place().init_pid());
  phases_.end("rounds");
  TRY(let_run_at_full_speed());
  QuietStop stop = TRY(stop_quiet(inventory, order_.place(), sockets, packets, send_last_writes));
  freeze::SeizedTree tree = std::move(stop.tree);
  frozen_at_ = tree.since();
  memory.begin_to_look();
  phases_.end("freeze");
  TRY(held.ask());
  // Packets wait here; and at the destination, as soon as that is ready for them. Not earlier: what its own node sends
  // to a program that still runs would wait there too.
  TRY(send_signal(connection, FrameType::hold_packets));
  faults_.at(FaultPoint::source_frozen, &connection);
  objects::StillSockets still(sockets);
  wire::FinalState state = TRY(capture(inventory, tree, held));
  TRY(files::add_hashes(inventory.files(), *state.mutable_host(), files::shared_devices(offer.plan(), answer)));
  TRY(objects::note(order_.place().run_directory(), sockets.taken()));
  ClosedEnds closed = TRY(tell_closed(sockets, stop.words, state));
  phases_.end("state");
  count_frozen(state.host(), tree, report_);
  auto sent = move_frozen(connection, memory, tree, still, state, carrier, logs, packets);
  if (!sent) return explained(connection, std::move(sent.error()));
  phases_.end("memory");
  if (mirror_) mirror_->keep();  // should we die the daemon knows what it is good for
  TRY(await_switchover(connection, tree, inventory.locks()));

  // Switched over: what is left here can only be discarded.
  report_.set_freeze_ms(Phases::milliseconds(std::chrono::steady_clock::now() - frozen_at_) - already_running_ms_);
  phases_.end("switchover");
  urgency.reset();
  connection.be_patient();
  held.commit();
  std::move(still).commit();
  packets.commit();
  account_.begin(leave_rest_ ? "pushing" : "discarding");
  for (const worker::FilePlan& row : files::plan_rows(state.host(), answer)) *report_.add_files() = row;
  auto lost = pass_on_last_words(connection, order_.place().init_pid(), std::move(stop.words), closed);
  warn_of_loss(lost.words, lost.why, report_);
  return finish(connection, std::move(tree), memory, carrier);
}

// What stood still here goes, and leaves its content for the next visit if that is wanted.
Result<void> Source::discard(const DepartingHost& memory) {
  account_.begin("discarding");
  if (order_.options().cache()) {
    account_.begin("caching");
    (void)memory.write_cache(address_space::page_cache_of(order_.place().state_directory()));  // without it all travels
    phases_.end("cache");
  }
  return sys::write_text(order_.place().cgroup() + "/procs/cgroup.kill", "1");
}

// The program runs at the destination; in the end nothing of it stays here.
Result<void> Source::finish(Connection& connection, freeze::SeizedTree tree, const DepartingHost& memory,
                            const files::Carrier& carrier) {
  if (leave_rest_) {
    Push push{*page_server_, *streams_, account_, [this] { return connect_again(order_); }, faults_};
    auto arrived = order_.options().cache() ? WhatArrived::stays : WhatArrived::is_given_back;
    push_rest(push, connection, std::move(tree), order_.place().cgroup() + "/procs", arrived, report_);
    phases_.end("push");
  } else {
    std::move(tree).commit();
  }
  if (mirror_) address_space::remove_mirror(order_.mirror());
  TRY(discard(memory));
  faults_.at(FaultPoint::source_committed, &connection);
  carrier.leave(order_.place());
  phases_.end("discard");
  worker::WorkerEvent event;
  count_pages(memory, page_server_.get(), *streams_, report_);
  report_.set_downtime_ms(report_.freeze_ms());
  report_.set_total_ms(phases_.elapsed_ms());
  account_.complete(report_);
  report_.mutable_phases()->Add(phases_.list().begin(), phases_.list().end());
  *event.mutable_moved()->mutable_report() = report_;
  return link_.event(event);
}

}  // namespace

Result<void> run_source(const worker::SourceOrder& order, DaemonLink& link) {
  FaultInjector faults(TRY(parse_fault(order.options().fault())));
  Source source(order, link, faults);
  auto outcome = source.run();
  if (!outcome) return std::unexpected(std::move(outcome.error()).within("stage " + std::string(source.stage())));
  return {};
}

}  // namespace godwit::migration
