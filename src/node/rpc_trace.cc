// The Trace call: the packets of a job as every node sees them, brought together in the order of time.
#include <map>
#include <thread>

#include "forwarding/packet_trace.h"
#include "node/node_stream.h"
#include "node/peer_channels.h"
#include "node/rpc_godwit.h"
#include "node/rpc_peer.h"

namespace godwit::node {

using Status = grpc::Status;

namespace {

constexpr std::chrono::milliseconds kLook(100);
constexpr std::chrono::milliseconds kHold(300);  // what another node saw first may come later
constexpr size_t kMostHeld = 100'000;

using Sink = std::function<void(api::TracedPacket)>;

api::TracedPacket to_wire(const forwarding::TracedPacket& seen, const std::string& node) {
  static const std::map<forwarding::Passage, api::TracedPacket::Passage> kPassages = {
      {forwarding::Passage::sent, api::TracedPacket::SENT},
      {forwarding::Passage::left, api::TracedPacket::LEFT},
      {forwarding::Passage::arrived, api::TracedPacket::ARRIVED},
      {forwarding::Passage::waited, api::TracedPacket::WAITED},
      {forwarding::Passage::delivered, api::TracedPacket::DELIVERED},
      {forwarding::Passage::other, api::TracedPacket::OTHER}};
  const forwarding::PacketHeaders& headers = seen.headers;
  api::TracedPacket packet;
  packet.set_unix_ns(seen.unix_ns);
  packet.set_node(node);
  packet.set_passage(kPassages.at(seen.passage));
  packet.set_interface(seen.interface);
  packet.set_protocol(headers.protocol);
  packet.set_from(sys::to_string(headers.from));
  packet.set_from_port(headers.from_port);
  packet.set_to(sys::to_string(headers.to));
  packet.set_to_port(headers.to_port);
  packet.set_tcp_flags(headers.tcp_flags);
  packet.set_sequence(headers.sequence);
  packet.set_acknowledged(headers.acknowledged);
  packet.set_content_bytes(headers.content_bytes);
  return packet;
}

// This node's packets, until `over`.
Status trace_here(Daemon& daemon, const api::TracePacketsRequest& request, const std::function<bool()>& over,
                  const Sink& sink) {
  auto trace = daemon.trace_packets(request.address());
  if (!trace) return to_status(trace.error());
  const std::string& node = daemon.config().node;
  while (!over()) {
    auto seen = trace->next(kLook);
    if (!seen) return to_status(seen.error());
    if (!*seen) {
      uint32_t missed = trace->missed().value_or(0);
      if (missed == 0) continue;
      api::TracedPacket gap;
      gap.set_node(node);
      gap.set_missed(missed);
      sink(std::move(gap));
      continue;
    }
    const forwarding::PacketHeaders& headers = (*seen)->headers;
    bool wanted = request.port() == 0 || request.port() == headers.from_port || request.port() == headers.to_port;
    if (wanted) sink(to_wire(**seen, node));
  }
  return Status::OK;
}

class PacketOrder {
 public:
  void add(api::TracedPacket packet) {
    std::lock_guard lock(mutex_);
    int64_t time = packet.missed() > 0 ? now() : packet.unix_ns();
    if (packets_.size() < kMostHeld) packets_.emplace(time, std::move(packet));
  }
  // Those that nothing can come before any more.
  std::vector<api::TracedPacket> take() {
    std::lock_guard lock(mutex_);
    std::vector<api::TracedPacket> ready;
    auto end = packets_.upper_bound(now() - std::chrono::nanoseconds(kHold).count());
    for (auto each = packets_.begin(); each != end; ++each) ready.push_back(std::move(each->second));
    packets_.erase(packets_.begin(), end);
    return ready;
  }

 private:
  static int64_t now() { return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count(); }
  std::mutex mutex_;
  std::multimap<int64_t, api::TracedPacket> packets_;  // by time; under mutex_
};

std::unique_ptr<NodeStream<api::TracedPacket>> trace_there(const std::shared_ptr<grpc::Channel>& channel,
                                                           const api::TracePacketsRequest& request,
                                                           PacketOrder& order) {
  std::shared_ptr<api::Peer::Stub> stub = api::Peer::NewStub(channel);
  return std::make_unique<NodeStream<api::TracedPacket>>(
      std::make_unique<grpc::ClientContext>(),
      [stub, request](grpc::ClientContext* on) { return stub->TracePackets(on, request); },
      [&order](api::TracedPacket packet) { order.add(std::move(packet)); });
}

}  // namespace

Status PeerService::TracePackets(Context* context, const api::TracePacketsRequest* request,
                                 grpc::ServerWriter<api::TracedPacket>* writer) {
  if (peer_node(*context).empty()) return kNoNode;
  bool open = true;
  return trace_here(
      daemon_, *request, [&] { return !open || context->IsCancelled(); },
      [&](const api::TracedPacket& packet) { open = writer->Write(packet); });
}

Status GodwitService::Trace(Context* context, const api::TraceRequest* request,
                            grpc::ServerWriter<api::TracedPacket>* writer) {
  api::JobRequest asked;
  asked.set_job(request->job());
  api::Job job;
  Status found = Inspect(context, &asked, &job);  // which only its owner may
  if (!found.ok()) return found;
  if (job.virtual_address() == 0) {
    return {grpc::StatusCode::FAILED_PRECONDITION, "job " + request->job() + " has no address of its own"};
  }
  auto nodes = daemon_.nodes();
  if (!nodes) return to_status(nodes.error());
  api::TracePacketsRequest wanted;
  wanted.set_address(job.virtual_address());
  wanted.set_port(request->port());
  PacketOrder order;
  std::vector<std::unique_ptr<NodeStream<api::TracedPacket>>> others;
  for (const api::Node& node : nodes->nodes()) {
    auto channel = daemon_.peers().channels().to(node.name());
    if (!node.self() && node.up() && channel) others.push_back(trace_there(*channel, wanted, order));
  }
  std::atomic<bool> over = false;
  Status here;
  std::jthread own([&] {
    here = trace_here(daemon_, wanted, [&] { return over.load(); }, [&](auto packet) { order.add(std::move(packet)); });
    over = true;
  });
  while (!over && !context->IsCancelled()) {
    std::this_thread::sleep_for(kLook);
    for (const api::TracedPacket& packet : order.take()) over = over || !writer->Write(packet);
  }
  over = true;
  own.join();
  return here;
}

}  // namespace godwit::node
