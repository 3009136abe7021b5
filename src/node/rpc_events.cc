// The Events call: what happens on every node of the cluster, from now on, as one stream.
#include <condition_variable>
#include <deque>
#include <map>

#include "node/node_stream.h"
#include "node/peer_channels.h"
#include "node/rpc_godwit.h"

namespace godwit::node {

using Status = grpc::Status;

namespace {

constexpr std::chrono::milliseconds kLook(500);
constexpr size_t kMostQueued = 10'000;  // a listener that does not keep up misses the oldest

class EventQueue {
 public:
  void add(api::Event event) {
    std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    if (events_.size() > kMostQueued) events_.pop_front();
    changed_.notify_all();
  }
  std::deque<api::Event> take(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [this] { return !events_.empty(); });
    return std::exchange(events_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<api::Event> events_;
};

// The events of another node; it asks on behalf of our caller and ends with the call.
std::unique_ptr<NodeStream<api::Event>> listen_to(const std::shared_ptr<grpc::Channel>& channel,
                                                  const grpc::ServerContext& call, const Caller& caller,
                                                  const api::EventsRequest& request, EventQueue& queue) {
  auto context = grpc::ClientContext::FromServerContext(call);
  context->AddMetadata(kUidKey, std::to_string(caller.uid));
  std::shared_ptr<api::Godwit::Stub> stub = api::Godwit::NewStub(channel);
  return std::make_unique<NodeStream<api::Event>>(
      std::move(context), [stub, request](grpc::ClientContext* on) { return stub->Events(on, request); },
      [&queue](api::Event event) { queue.add(std::move(event)); });
}

bool wanted(const api::EventsRequest& request, const api::Event& event) {
  return request.job().empty() || request.job() == event.job() || request.job() == event.name();
}

}  // namespace

Status GodwitService::Events(Context* context, const api::EventsRequest* request,
                             grpc::ServerWriter<api::Event>* writer) {
  auto caller = caller_of(*context);
  if (!caller) return kUnknownCaller;
  uint64_t number = daemon_.next_event();
  EventQueue queue;
  std::map<std::string, std::unique_ptr<NodeStream<api::Event>>> sources;
  auto looked = std::chrono::steady_clock::time_point::min();
  while (!context->IsCancelled()) {
    auto now = std::chrono::steady_clock::now();
    bool look = !caller->forwarded && (looked == looked.min() || now - looked > std::chrono::seconds(2));
    auto nodes = look ? daemon_.nodes() : api::NodesReply();
    if (look) looked = now;
    if (!nodes) return to_status(nodes.error());
    for (const api::Node& node : nodes->nodes()) {
      auto& source = sources[node.name()];
      auto channel = daemon_.peers().channels().to(node.name());
      bool start = !node.self() && node.up() && channel && (!source || source->ended());
      if (start) source = listen_to(*channel, *context, *caller, *request, queue);
    }
    for (api::Event& event : daemon_.events_since(number, sources.empty() ? kLook : kLook / 5)) {
      bool theirs = caller->uid == 0 || daemon_.may_see(event, *caller);
      if (theirs && wanted(*request, event)) queue.add(std::move(event));
    }
    for (const api::Event& event : queue.take({})) {
      if (!writer->Write(event)) return Status::OK;
    }
  }
  return Status::OK;
}

}  // namespace godwit::node
