#include "node/rpc_godwit.h"

#include <signal.h>

#include <map>
#include <set>
#include <thread>

#include "sys/text_file.h"
#include "transport/join_token.h"

namespace godwit::node {

using Status = grpc::Status;

namespace {

constexpr int kAttempts = 150;  // to find a job that is between two nodes
constexpr std::chrono::milliseconds kLookAgain(20);
constexpr std::chrono::seconds kPatience(60);  // with another node
constexpr std::chrono::seconds kConnectPatience(25);

template <class T, class Reply>
Status answer(Result<T> result, Reply* reply) {
  if (!result) return to_status(result.error());
  if constexpr (!std::is_void_v<T>) *reply = std::move(*result);
  return Status::OK;
}

template <class Request>
std::chrono::milliseconds grace_of(const Request&) {
  return {};
}
std::chrono::milliseconds grace_of(const api::StopRequest& request) {
  return std::chrono::milliseconds(request.grace_ms());
}

}  // namespace

template <class Request, class Reply, class Here>
Status GodwitService::where_it_is(Context* context, const Request* request, Reply* reply,
                                  Status (api::Godwit::Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                                  Here here) {
  auto caller = caller_of(*context);
  if (!caller) return kUnknownCaller;
  Status status;
  // A job that leaves while the call is made is looked for again.
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto located = daemon_.locate(request->job(), *caller);
    if (!located) return to_status(located.error());
    if (located->node == daemon_.config().node) {
      status = answer(here(located->id, *caller), reply);
    } else {
      auto channel = daemon_.peers().channels().to(located->node);
      if (!channel) return to_status(channel.error());
      grpc::ClientContext onward;
      onward.AddMetadata(kUidKey, std::to_string(caller->uid));
      onward.set_deadline(
          std::min(context->deadline(), std::chrono::system_clock::now() + kPatience + grace_of(*request)));
      Request there = *request;
      there.set_job(located->id);
      auto stub = api::Godwit::NewStub(*channel);
      status = (stub.get()->*method)(&onward, there, reply);
      status = in_own_words(status, located->node);
    }
    bool between = status.error_code() == grpc::StatusCode::NOT_FOUND && !caller->forwarded;
    if (!between || context->IsCancelled()) return status;
    std::this_thread::sleep_for(kLookAgain);
  }
  return status;
}

Status GodwitService::Run(Context* context, const api::RunRequest* request, api::RunReply* reply) {
  auto caller = caller_of(*context);
  if (!caller) return kUnknownCaller;
  if (request->node().empty() || request->node() == daemon_.config().node) {
    return answer(daemon_.run(*request, *caller), reply);
  }
  if (!daemon_.knows_node(request->node())) {
    return {grpc::StatusCode::NOT_FOUND, "there is no node " + request->node() + "; `godwit nodes` lists them"};
  }
  auto channel = daemon_.peers().channels().to(request->node());
  if (!channel) return to_status(channel.error());
  grpc::ClientContext onward;
  onward.AddMetadata(kUidKey, std::to_string(caller->uid));
  onward.set_deadline(std::chrono::system_clock::now() + kPatience);
  return in_own_words(api::Godwit::NewStub(*channel)->Run(&onward, *request, reply), request->node());
}

// A job whose memory is still being pushed is known to both nodes: it is where it runs, and the other one tells of the
// move.
void list_once(api::ListJobsReply& reply) {
  std::map<std::string, api::Job> jobs;
  for (api::Job& job : *reply.mutable_jobs()) {
    auto [known, fresh] = jobs.try_emplace(job.id(), job);
    if (fresh) continue;
    api::Job& other = known->second;
    if (other.epoch() < job.epoch()) std::swap(other, job);
    if (job.has_move() && !other.has_move()) *other.mutable_move() = job.move();
  }
  reply.clear_jobs();
  for (auto& [id, job] : jobs) *reply.add_jobs() = std::move(job);
}

// Those of every node that is up; of those that do not answer what the directory knows.
Status GodwitService::ListJobs(Context* context, const api::ListJobsRequest* request, api::ListJobsReply* reply) {
  auto caller = caller_of(*context);
  if (!caller) return kUnknownCaller;
  auto here = daemon_.list_here(*caller, request->all());
  if (!here) return to_status(here.error());
  *reply = std::move(*here);
  if (caller->forwarded) return Status::OK;
  auto nodes = daemon_.nodes();
  if (!nodes) return to_status(nodes.error());
  std::set<std::string> silent, listed;
  for (const api::Node& node : nodes->nodes()) {
    if (node.self()) continue;
    auto channel = daemon_.peers().channels().to(node.name());
    grpc::ClientContext onward;
    onward.AddMetadata(kUidKey, std::to_string(caller->uid));
    onward.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(3));
    api::ListJobsReply there;
    bool answered = node.up() && channel && api::Godwit::NewStub(*channel)->ListJobs(&onward, *request, &there).ok();
    if (!answered) silent.insert(node.name());
    for (api::Job& job : *there.mutable_jobs()) *reply->add_jobs() = std::move(job);
  }
  list_once(*reply);
  for (const api::Job& job : reply->jobs()) listed.insert(job.id());
  auto known = daemon_.jobs_in_directory(*caller, request->all());
  if (!known) return to_status(known.error());
  for (api::Job& job : *known) {
    if (listed.contains(job.id())) continue;
    if (silent.contains(job.node()) && job.state() != api::ENDED) job.set_state(api::UNKNOWN);
    *reply->add_jobs() = std::move(job);  // it is between two nodes, or where nobody answers
  }
  return Status::OK;
}

Status GodwitService::Inspect(Context* context, const api::JobRequest* request, api::Job* reply) {
  return where_it_is(context, request, reply, &api::Godwit::Stub::Inspect,
                     [&](const std::string& id, const Caller&) -> Result<api::Job> {
                       api::Job job = TRY(daemon_.inspect(id));
                       if (job.virtual_address() != 0) *job.mutable_messages() = daemon_.count_messages_everywhere(job);
                       return job;
                     });
}

Status GodwitService::Cancel(Context* context, const api::JobRequest* request, api::Done* reply) {
  return where_it_is(context, request, reply, &api::Godwit::Stub::Cancel,
                     [&](const std::string& id, const Caller&) { return daemon_.cancel(id); });
}

Status GodwitService::Switch(Context* context, const api::JobRequest* request, api::Done* reply) {
  return where_it_is(context, request, reply, &api::Godwit::Stub::Switch,
                     [&](const std::string& id, const Caller&) { return daemon_.switch_to_postcopy(id); });
}

Status GodwitService::Resume(Context* context, const api::JobRequest* request, api::Done* reply) {
  return where_it_is(context, request, reply, &api::Godwit::Stub::Resume,
                     [&](const std::string& id, const Caller&) { return daemon_.connect_now(id); });
}

Status GodwitService::Exec(Context* context, const api::ExecRequest* request, api::ExecReply* reply) {
  return where_it_is(context, request, reply, &api::Godwit::Stub::Exec,
                     [&](const std::string& id, const Caller& caller) { return daemon_.exec(id, *request, caller); });
}

Status GodwitService::Kill(Context* context, const api::KillRequest* request, api::Done* reply) {
  return where_it_is(context, request, reply, &api::Godwit::Stub::Kill, [&](const std::string& id, const Caller&) {
    return daemon_.signal(id, request->console(), request->signal(), request->all());
  });
}

Status GodwitService::SetForwarding(Context* context, const api::ForwardingRequest* request, api::Done* reply) {
  return where_it_is(
      context, request, reply, &api::Godwit::Stub::SetForwarding,
      [&](const std::string& id, const Caller&) { return daemon_.set_forwarding(id, request->mechanism()); });
}

Status GodwitService::Remove(Context* context, const api::JobRequest* request, api::Done* reply) {
  return where_it_is(context, request, reply, &api::Godwit::Stub::Remove,
                     [&](const std::string& id, const Caller&) { return daemon_.remove(id); });
}

Status GodwitService::Stop(Context* context, const api::StopRequest* request, api::Done* reply) {
  return where_it_is(
      context, request, reply, &api::Godwit::Stub::Stop, [&](const std::string& id, const Caller&) -> Result<void> {
        TRY(daemon_.signal(id, 0, SIGTERM, false));
        auto follow = TRY(daemon_.follow(id, 0));
        auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(request->grace_ms());
        uint64_t seen = 0;
        for (;;) {
          auto left =
              std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
          auto now = follow.watch->wait(seen, std::max(left, std::chrono::milliseconds(0)));
          seen = now.changes;
          if (now.ended.contains(0)) return {};
          if (now.gone) return error(ErrorKind::gone, "the job moved");
          if (left.count() <= 0) break;
        }
        return daemon_.signal(id, 0, SIGKILL, true);
      });
}

Status GodwitService::Move(Context* context, const api::MoveRequest* request,
                           grpc::ServerWriter<api::MoveEvent>* writer) {
  auto caller = caller_of(*context);
  if (!caller) return kUnknownCaller;
  auto located = daemon_.locate(request->job(), *caller);
  if (!located) return to_status(located.error());
  if (located->node != daemon_.config().node) {
    auto channel = daemon_.peers().channels().to(located->node);
    if (!channel) return to_status(channel.error());
    // On a busy machine, or when the link has just come back, a connection takes its time.
    if (!(*channel)->WaitForConnected(std::chrono::system_clock::now() + kConnectPatience)) {
      return in_own_words({grpc::StatusCode::UNAVAILABLE, ""}, located->node);
    }
    grpc::ClientContext onward;
    onward.AddMetadata(kUidKey, std::to_string(caller->uid));  // no deadline: it goes on until its end
    api::MoveRequest there = *request;
    there.set_job(located->id);
    auto reader = api::Godwit::NewStub(*channel)->Move(&onward, there);
    api::MoveEvent event;
    bool begun = false;
    for (; reader->Read(&event); begun = true) writer->Write(event);
    Status status = reader->Finish();
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return status;
    if (!begun) return in_own_words(status, located->node);
    return {grpc::StatusCode::ABORTED, "the daemon of " + located->node + " ended while it moved job " +
                                           request->job() + "; the job runs on, `godwit ps` shows where"};
  }
  auto stream = daemon_.move(located->id, *request);
  // The last of its memory may have arrived, and its daemon not know yet.
  for (int attempt = 0; attempt < kAttempts && !stream && stream.error().kind == ErrorKind::retry; ++attempt) {
    std::this_thread::sleep_for(kLookAgain);
    stream = daemon_.move(located->id, *request);
  }
  if (!stream) return to_status(stream.error());
  while (auto event = (*stream)->next()) writer->Write(*event);
  return Status::OK;
}

Status GodwitService::Nodes(Context*, const api::NodesRequest*, api::NodesReply* reply) {
  return answer(daemon_.nodes(), reply);
}

Status GodwitService::Token(Context* context, const api::TokenRequest* request, api::TokenReply* reply) {
  auto caller = caller_of(*context);
  if (!caller || caller->uid != 0) return {grpc::StatusCode::PERMISSION_DENIED, "only root may let nodes join"};
  std::string tls = daemon_.config().state_directory + "/tls";
  auto made = [&]() -> Result<std::string> {
    std::string authority = TRY(sys::read_text(tls + "/ca.crt"));
    std::string print = TRY(transport::fingerprint(authority));
    auto now = std::chrono::system_clock::now();
    return transport::create_join_token(daemon_.config().state_directory + "/tokens", print, now,
                                        now + std::chrono::seconds(request->valid_seconds()));
  }();
  if (!made) return to_status(made.error());
  reply->set_token(*made);
  reply->set_address(daemon_.config().address + ":" + std::to_string(daemon_.config().port + 1));
  return Status::OK;
}

}  // namespace godwit::node
