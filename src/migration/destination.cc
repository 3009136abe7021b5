#include "migration/destination.h"

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "address_space/fault_server.h"
#include "address_space/page_stream.h"
#include "address_space/receiving_streams.h"
#include "coprocess/logical_host.h"
#include "files/carrier.h"
#include "files/offer.h"
#include "files/opener.h"
#include "forwarding/job_link.h"
#include "migration/clocks.h"
#include "migration/compatibility.h"
#include "migration/consoles.h"
#include "migration/earlier_visit.h"
#include "migration/exchange.h"
#include "migration/fault_point.h"
#include "migration/inventory.h"
#include "migration/lock_handover.h"
#include "migration/phases.h"
#include "migration/reconnection.h"
#include "migration/restoration.h"
#include "migration/skeleton.h"
#include "migration/spoken_words.h"
#include "migration/switchover.h"
#include "objects/description.h"
#include "objects/network_settings.h"
#include "sys/descriptors.h"
#include "sys/huge_page_pool.h"
#include "sys/residency.h"
#include "sys/standard_stream.h"
#include "sys/survivor.h"
#include "sys/text_file.h"
#include "sys/urgency.h"
#include "transport/connection.h"

namespace godwit::migration {

namespace {

using transport::Connection;
using transport::FrameType;

constexpr std::chrono::microseconds kSpin(150);
constexpr std::chrono::seconds kAcceptPatience(30);
constexpr std::chrono::seconds kCallerPatience(5);  // when somebody has come
constexpr std::chrono::seconds kLook(1);            // while the source is cut off
constexpr size_t kPutsToFault = 8;                  // of pages left behind, up to the fault point among them
constexpr size_t kSpareHeap = 512 << 10;            // for what is received and made in the freeze

class Destination {
 public:
  Destination(const worker::DestinationOrder& order, DaemonLink& link, FaultInjector faults)
      : order_(order), link_(link), faults_(faults) {}

  Result<void> run();

 private:
  // The stages, in order. Each returns what the next one needs; scopes undo what was made when one fails.
  Result<void> receive_job(Connection& connection);
  Result<Connection> listen();
  Result<Connection> accept(sys::Deadline deadline);
  Result<bool> judge(Connection& connection, const wire::Offer& offer, wire::OfferAnswer& answer);
  Result<files::DestinationView> destination_view();
  Result<coprocess::LogicalHost> make_logical_host(const wire::Offer& offer);
  Result<void> enter(const coprocess::LogicalHost& host, const wire::Offer& offer);
  Result<void> correct(Restoration& restoration, const image::LogicalHost& now);
  Result<void> be_urgent(Restoration& restoration, address_space::PageReceiver& pages);
  Result<transport::Frame> receive_content(Connection& connection, Restoration& restoration,
                                           address_space::PageReceiver& pages, files::Receiver& files);
  Result<void> receive_last_content(Connection& connection, Restoration& restoration,
                                    address_space::PageReceiver& pages, files::Receiver& files);
  Result<std::optional<address_space::PageCache>> tell_ready(Connection& connection, const Restoration& restoration,
                                                             const wire::Offer& offer);
  Result<std::unique_ptr<address_space::ReceivingStreams>> accept_more(Restoration& restoration);
  Result<void> watch_missing(Restoration& restoration);
  Result<void> let_it_run(Connection& connection, Restoration& restoration);
  Result<void> receive_rest(Connection& connection);
  void tell_stage(std::string_view stage);
  Result<Connection> accept_again(const coprocess::LogicalHost& host);
  Result<void> receive_all(Connection& connection, const coprocess::LogicalHost& host);
  Result<void> make_objects(Restoration& restoration, AdoptedConsoles& consoles, const wire::FinalState& state);
  Result<void> make_whole(Connection& connection, const coprocess::LogicalHost& host, Restoration& restoration);
  Result<void> report(const coprocess::LogicalHost& host, const wire::FinalState& state);

  const worker::DestinationOrder& order_;
  DaemonLink& link_;
  std::optional<forwarding::JobLink> cable_;  // once there is a logical host
  objects::NetworkRestore network_{given_interface(order_.place()), order_.place().uid() == 0};
  FaultInjector faults_;
  std::optional<sys::Urgency> urgency_;  // while the program is frozen
  Phases phases_{"destination"};
  image::LogicalHost layout_;  // of the rounds; the skeleton refers to it
  std::optional<transport::Listener> listener_;
  address_space::ReceivingStreams* streams_ = nullptr;  // once the skeleton is ready
  std::optional<sys::Survivor> survivor_;
  std::unique_ptr<address_space::FaultServer> ready_to_serve_;  // when pages may be left behind
  std::unique_ptr<address_space::FaultServer> faults_server_;   // when some are
  std::atomic<size_t> puts_of_rest_ = 0;
  bool frozen_ = false;  // its final state is here
  bool whole_ = false;   // all that was left behind is here
};

Result<Connection> Destination::listen() {
  listener_ = TRY(transport::Listener::bind(order_.listen_host()));
  worker::WorkerEvent listening;
  listening.mutable_listening()->set_port(listener_->port());
  TRY(link_.event(listening));
  faults_.at(FaultPoint::destination_listening, nullptr);
  return accept(std::chrono::steady_clock::now() + kAcceptPatience);
}

Result<Connection> Destination::accept(sys::Deadline deadline) {
  transport::TlsFiles files{order_.tls().certificate(), order_.tls().key(), order_.tls().authority()};
  return listener_->accept(files, order_.source_node(), order_.token(), deadline);
}

// Whether the job can live here; the answer goes to the source in any case.
Result<bool> Destination::judge(Connection& connection, const wire::Offer& offer, wire::OfferAnswer& answer) {
  wire::Offer here;
  TRY(describe_this_node(here));
  std::vector<worker::Refusal> refusals = incompatibilities(here, offer);
  files::DestinationView view = TRY(destination_view());
  for (wire::FileVerdict& verdict : files::decide(offer.plan(), offer.boot_id(), view, refusals)) {
    *answer.add_files() = std::move(verdict);
  }
  std::ranges::move(pool_shortages(offer.plan(), files::shared_files(answer), sys::pool_pages_left),
                    std::back_inserter(refusals));
  answer.mutable_refusals()->Assign(refusals.begin(), refusals.end());
  TRY(connection.send(FrameType::offer_answer, answer));
  TRY(connection.flush());
  return refusals.empty() && !offer.judge_only();
}

Result<files::DestinationView> Destination::destination_view() {
  return files::DestinationView::of_this_node(order_.place(), files::left_behind_of(order_.place()));
}

Result<coprocess::LogicalHost> Destination::make_logical_host(const wire::Offer& offer) {
  coprocess::LogicalHostSpec spec;
  spec.place = order_.place();
  spec.clocks = TRY(clock_offsets_here(offer));
  spec.pass_worker_pidfd = true;
  return coprocess::LogicalHost::create(spec);
}

// From here on we are in the job's network, which is made as its programs have made it.
Result<void> Destination::enter(const coprocess::LogicalHost& host, const wire::Offer& offer) {
  TRY(host.enter());
  return offer.plan().has_network() ? network_.make(offer.plan().network()) : Result<void>();
}

Result<void> Destination::correct(Restoration& restoration, const image::LogicalHost& now) {
  TRY(restoration.correct(now));
  return now.has_network() ? network_.make(now.network()) : Result<void>();
}

// One thread before all others, on the skeleton's processor.
Result<void> Destination::be_urgent(Restoration& restoration, address_space::PageReceiver& pages) {
  if (!urgency_) urgency_.emplace(sys::Urgency::begin_on(restoration.processor()));
  return pages.put_at_once();
}

// Takes what fills the skeleton, in rounds or in the freeze, up to the first frame of another kind.
Result<transport::Frame> Destination::receive_content(Connection& connection, Restoration& restoration,
                                                      address_space::PageReceiver& pages, files::Receiver& files) {
  for (;;) {
    transport::FrameHeader header = TRY(connection.receive_header(kSpin));
    if (address_space::PageReceiver::takes(header.type)) {
      TRY(pages.receive_pages(header));
      continue;
    }
    TRY(pages.settle());
    if (header.type == FrameType::stream_barrier) {
      TRY(streams_->receive_barrier(connection, header));
      continue;
    }
    if (header.type != FrameType::abort) TRY(streams_->expect_barrier());
    if (header.type == FrameType::zero_pages) {
      TRY(pages.receive_drop(header.length));
      continue;
    }
    if (header.type == FrameType::owed_pages) {
      TRY(pages.receive_ranges(header.length, [&](pid_t pid, auto ranges) { return restoration.owe(pid, ranges); }));
      continue;
    }
    if (header.type == FrameType::guarded_pages || header.type == FrameType::unguarded_pages) {
      TRY(pages.receive_ranges(header.length, [&](pid_t pid, auto ranges) {
        return restoration.guard(pid, ranges, header.type == FrameType::guarded_pages);
      }));
      continue;
    }
    if (address_space::PageReceiver::takes_object(header.type)) {
      TRY(pages.receive_object(header));
      continue;
    }
    transport::Frame frame = TRY(connection.receive_payload(header));
    switch (frame.type) {
      case FrameType::final_state: frozen_ = true; return frame;
      case FrameType::memory_end: return frame;
      case FrameType::abort: return abort_reason(frame);
      case FrameType::log_part:
        TRY(append_log(order_.place(), TRY(expect<wire::LogPart>(frame, FrameType::log_part))));
        break;
      case FrameType::layout:
        if (frozen_) return error(ErrorKind::corrupt, "another layout after the final state");
        layout_ = TRY(expect<image::LogicalHost>(frame, FrameType::layout));
        TRY(correct(restoration, layout_));
        restoration.make_ready(layout_);
        break;
      case FrameType::freeze_soon: TRY(be_urgent(restoration, pages)); break;
      case FrameType::hold_packets:  // it is frozen
        TRY(be_urgent(restoration, pages));
        TRY(cable_->expect());
        TRY(send_signal(connection, FrameType::packets_held));
        break;
      case FrameType::round_end:
        restoration.content_is_there();
        TRY(pages.tell_lacking());
        TRY(send_signal(connection, FrameType::round_done));
        sys::touch_heap(kSpareHeap);
        break;
      default: TRY(files.take(frame)); break;
    }
  }
}

Result<void> Destination::receive_last_content(Connection& connection, Restoration& restoration,
                                               address_space::PageReceiver& pages, files::Receiver& files) {
  transport::Frame frame = TRY(receive_content(connection, restoration, pages, files));
  if (frame.type != FrameType::memory_end) {
    return error(ErrorKind::corrupt, "the other node sent its final state twice");
  }
  if (pages.lacks()) return error(ErrorKind::corrupt, "pages were referred to that are not here");
  restoration.content_is_there();
  TRY(restoration.place_rest());
  phases_.end("memory");
  return say_commit_soon(link_);
}

// Connections beside the main one, and what pages that may be left behind need.
Result<std::unique_ptr<address_space::ReceivingStreams>> Destination::accept_more(Restoration& restoration) {
  if (may_leave_pages(order_.options())) {
    Connection requests = TRY(accept(std::chrono::steady_clock::now() + kAcceptPatience));
    ready_to_serve_ = TRY(address_space::FaultServer::create(std::move(requests)));
    TRY(restoration.make_faults_ready());
    survivor_.emplace(TRY(sys::Survivor::start(order_.place().cgroup() + "/procs/cgroup.kill", "1")));
  }
  auto streams = TRY(address_space::ReceivingStreams::start(
      streams_wanted(order_.options()), listener_->fd(),
      [this] { return accept(std::chrono::steady_clock::now() + kCallerPatience); },
      [&](pid_t pid, auto ranges, auto bytes) { return restoration.put(pid, ranges, bytes); }));
  streams_ = streams.get();
  return streams;
}

// From here on a page that is touched, by the program or by us, comes when it is needed.
Result<void> Destination::watch_missing(Restoration& restoration) {
  if (!ready_to_serve_) return error(ErrorKind::corrupt, "pages are left behind that were not to be");
  faults_server_ = std::move(ready_to_serve_);
  TRY(restoration.watch_missing(*faults_server_));
  survivor_->arm();  // were we killed, the program would go on with zeros for pages
  faults_server_->start();
  phases_.end("watch");
  return {};
}

// The program runs; what is left of its memory is pushed.
Result<void> Destination::receive_rest(Connection& connection) {
  auto put = [&](pid_t pid, auto ranges, auto bytes) {  // of any of the connections
    if (++puts_of_rest_ == kPutsToFault) faults_.at(FaultPoint::destination_arriving, &connection);
    return faults_server_->put(pid, ranges, bytes);
  };
  address_space::PageReceiver pages(
      connection, put,
      [](uint32_t) -> Result<int> { return error(ErrorKind::corrupt, "a memory object after the switchover"); },
      [](pid_t, auto) -> Result<void> { return error(ErrorKind::corrupt, "dropped pages after the switchover"); });
  TRY(pages.put_beside());
  streams_->put_by(put);
  for (;;) {
    transport::FrameHeader header = TRY(connection.receive_header());
    if (header.type == FrameType::stream_barrier) {
      TRY(streams_->receive_barrier(connection, header));
      continue;
    }
    if (!address_space::PageReceiver::takes(header.type)) {
      TRY(pages.settle());
      TRY(streams_->expect_barrier());
      TRY(connection.receive_payload(header));
      if (header.type != FrameType::memory_end) return error(ErrorKind::corrupt, "no pages after the switchover");
      break;
    }
    TRY(pages.receive_pages(header));
  }
  TRY(faults_server_->finish());
  whole_ = true;
  survivor_.reset();
  tell_stage("whole");
  address_space::FaultServer::Counts counts = faults_server_->counts();
  return send_all_here(connection, {counts.ahead, counts.ahead_used});
}

// The source comes again when it can. Nobody waits any longer for a program that has ended, or for a source that has.
Result<Connection> Destination::accept_again(const coprocess::LogicalHost& host) {
  auto until = std::chrono::steady_clock::now() + (whole_ ? kAcceptPatience : kCutPatience);
  for (;;) {
    auto connection = accept(std::chrono::steady_clock::now() + kLook);
    if (connection || std::chrono::steady_clock::now() > until) return connection;
    if (std::string reason = link_.cancel_reason(); !reason.empty()) return error(ErrorKind::gone, reason);
    if (link_.take_wish_to_go_on()) until = std::chrono::steady_clock::now() + kCutPatience;
    pollfd ended{host.init_pidfd(), POLLIN, 0};
    if (TRY(sys::wait_until_ready(std::span(&ended, 1), 0))) return connection;
  }
}

// For the daemon, which can ask the other one what has become of the source.
void Destination::tell_stage(std::string_view stage) {
  worker::WorkerEvent::Progress progress;
  progress.set_stage(std::string(stage));
  link_.progress(progress);
}

Result<void> Destination::receive_all(Connection& connection, const coprocess::LogicalHost& host) {
  auto rest = receive_rest(connection);
  while (!rest && is_cut(rest.error())) {
    connection.shut_down();
    streams_->stop();
    faults_server_->pause();
    if (!whole_) tell_stage("cut off");
    auto again = accept_both([&] { return accept_again(host); });
    if (!again && whole_) return {};  // only the source does not know
    if (!again) return std::unexpected(std::move(again.error()));
    connection = std::move(again->bulk);
    if (!whole_) tell_stage("arriving");
    rest = send_lacking(connection, faults_server_->owed());
    if (rest) rest = faults_server_->resume(std::move(again->requests));
    if (rest) rest = receive_rest(connection);
  }
  return rest;
}

Result<void> Destination::run() {
  Connection connection = TRY(listen());
  auto outcome = receive_job(connection);
  if (!outcome) {
    send_abort(connection, outcome.error(),
               phases_.list().empty() ? "the start" : "after " + phases_.list().back().name());
    drain(connection);  // what is closed unread would take our words along
  }
  return outcome;
}

Result<void> Destination::make_objects(Restoration& restoration, AdoptedConsoles& consoles,
                                       const wire::FinalState& state) {
  TRY(consoles.take_state(consoles_of(state)));
  TRY(restoration.make_objects(state.host(), consoles.ends(), network_.tun_ends()));
  TRY(consoles.ends_taken());
  phases_.end("objects");
  return {};
}

// Returns what an earlier visit left, of which the source knows then.
Result<std::optional<address_space::PageCache>> Destination::tell_ready(Connection& connection,
                                                                        const Restoration& restoration,
                                                                        const wire::Offer& offer) {
  phases_.end("skeleton");
  wire::SkeletonReady ready;
  ready.set_boot_id(TRY(sys::read_text("/proc/sys/kernel/random/boot_id")));
  ready.set_processor(static_cast<uint32_t>(restoration.processor()));
  TRY(connection.send(FrameType::skeleton_ready, ready));
  TRY(connection.flush());
  sys::touch_heap(kSpareHeap);
  sys::reserve_descriptors(static_cast<size_t>(offer.plan().descriptions_size()));
  auto cache = open_cache(order_.place(), order_.options());
  if (order_.options().cache()) TRY(tell_cached(connection, cache));
  faults_.at(FaultPoint::destination_skeleton_ready, &connection);
  return cache;
}

Result<void> Destination::let_it_run(Connection& connection, Restoration& restoration) {
  cable_->commit();
  std::string warning = take_locks_over(connection, restoration);
  TRY(restoration.run());
  auto running_since = std::chrono::steady_clock::now();
  // Before the program has the processor: a busy one would not give it back for several turns, and clients wait. The
  // daemon does it again when it takes over.
  (void)cable_->deliver();
  urgency_.reset();
  std::this_thread::yield();  // on this processor the program waits for us
  phases_.end("switchover");
  tell_committed(connection, phases_, running_since, std::move(warning));
  faults_.at(FaultPoint::destination_running, &connection);
  return {};
}

Result<void> Destination::receive_job(Connection& connection) {
  wire::Offer offer = TRY(receive<wire::Offer>(connection, FrameType::offer));
  wire::OfferAnswer answer;
  faults_.at(FaultPoint::destination_offered, &connection);
  if (!TRY(judge(connection, offer, answer))) return {};  // nothing was made; the source tells the user
  phases_.end("offer");

  // The job is welcome here. What is made from now on goes with its scope.
  coprocess::LogicalHost host = TRY(make_logical_host(offer));
  cable_.emplace(TRY(forwarding::JobLink::create(order_.place().network(), host.init_pid())));
  TRY(enter(host, offer));
  sys::MountNamespace mounts = TRY(sys::MountNamespace::of(host.init_pidfd()));
  files::Opener opener(offer, answer, TRY(destination_view()), order_.place().state_directory(), mounts);
  files::Receiver carried(opener, order_.place());
  Restoration restoration(host, mounts, opener, order_.place());
  if (order_.options().memory() != "postcopy") restoration.expect_content();
  TRY(restoration.prepare(offer.plan()));
  AdoptedConsoles consoles = TRY(AdoptedConsoles::create(order_.place(), host.init_pidfd()));
  TRY(consoles.adopt(consoles_of(offer)));
  auto cache = TRY(tell_ready(connection, restoration, offer));
  auto streams = TRY(accept_more(restoration));

  // The skeleton is ready; the program still runs at the source.
  address_space::PresentPages present(restoration.page_reader(), std::move(cache));
  address_space::PageReceiver pages(restoration.page_sinks(connection));
  pages.set_present(&present);
  TRY(pages.put_beside());
  auto state = TRY(
      expect<wire::FinalState>(TRY(receive_content(connection, restoration, pages, carried)), FrameType::final_state));
  phases_.end("rounds");
  faults_.at(FaultPoint::destination_state_received, &connection);

  // The program is frozen.
  TRY(correct(restoration, state.host()));
  TRY(carried.ask(connection));
  phases_.end("correct skeleton");
  bool before_content = !carried.expects_content();  // while the source looks for the last of the memory
  if (before_content) TRY(make_objects(restoration, consoles, state));
  TRY(receive_last_content(connection, restoration, pages, carried));
  if (restoration.is_owed()) TRY(watch_missing(restoration));
  if (!before_content) TRY(make_objects(restoration, consoles, state));
  TRY(restoration.restore(state.host()));
  auto closed = TRY(objects::LastWordsRestore::make(state.closed(), state.closed_ends(), restoration.since_state()));
  phases_.end("processes");
  faults_.at(FaultPoint::destination_restored, &connection);
  TRY(opener.publish());
  TRY(restoration.hold_frozen());
  closed.take(restoration.take_speakers());
  phases_.end("ready");

  // Everything is in place, nothing runs: even if this process ends now the daemon can finish or discard.
  faults_.at(FaultPoint::destination_ready, &connection);
  TRY(switch_over(connection, link_, order_.source_makes_switchover()));
  faults_.at(FaultPoint::destination_committed, &connection);

  // Switched over: this copy is the process.
  host.commit();
  auto runs = let_it_run(connection, restoration);
  opener.commit();  // however that went
  TRY(std::move(runs));
  // It runs: whatever fails from here on, its memory must come.
  auto released = consoles.release();
  auto reported = report(host, state);
  if (faults_server_) tell_stage("arriving");
  receive_last_words(connection, std::move(closed));
  TRY(make_whole(connection, host, restoration));
  TRY(std::move(released));
  return reported;
}

// It runs: the rest of its memory arrives, and huge pages come back.
Result<void> Destination::make_whole(Connection& connection, const coprocess::LogicalHost& host,
                                     Restoration& restoration) {
  if (faults_server_) {
    auto rest = receive_all(connection, host);
    if (!rest) (void)sys::write_text(order_.place().cgroup() + "/procs/cgroup.kill", "1");  // without it nobody goes on
    TRY(std::move(rest));
  }
  restoration.collapse_huge_pages();
  return {};
}

Result<void> Destination::report(const coprocess::LogicalHost& host, const wire::FinalState& state) {
  forget_visit(order_.place());
  worker::WorkerEvent event;
  event.mutable_moved()->set_init_pid(host.init_pid());
  *event.mutable_moved()->mutable_consoles() = state.consoles();
  event.mutable_moved()->mutable_report()->mutable_phases()->Assign(phases_.list().begin(), phases_.list().end());
  return link_.event(event);
}

}  // namespace

Result<void> run_destination(const worker::DestinationOrder& order, DaemonLink& link) {
  FaultInjector faults(TRY(parse_fault(order.options().fault())));
  return Destination(order, link, faults).run();
}

}  // namespace godwit::migration
