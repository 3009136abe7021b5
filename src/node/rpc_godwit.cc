#include "node/rpc_godwit.h"

#include <signal.h>

#include <thread>

#include "node/follower.h"
#include "transport/join_token.h"
#include "sys/text_file.h"

namespace godwit::node {

using Status = grpc::Status;

namespace {

const Status kUnknownCaller(grpc::StatusCode::UNAUTHENTICATED, "it is not known who makes this call");

template <class T, class Reply>
Status answer(Result<T> result, Reply* reply) {
  if (!result) return to_status(result.error());
  if constexpr (!std::is_void_v<T>) *reply = std::move(*result);
  return Status::OK;
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
  for (int attempt = 0; attempt < 5; ++attempt) {
    auto located = daemon_.locate(request->job(), *caller);
    if (!located) return to_status(located.error());
    if (located->node == daemon_.config().node) {
      status = answer(here(located->id, *caller), reply);
    } else {
      auto channel = daemon_.peers().channels().to(located->node);
      if (!channel) return to_status(channel.error());
      grpc::ClientContext onward;
      onward.AddMetadata(kUidKey, std::to_string(caller->uid));
      onward.set_deadline(context->deadline());
      Request there = *request;
      there.set_job(located->id);
      auto stub = api::Godwit::NewStub(*channel);
      status = (stub.get()->*method)(&onward, there, reply);
      if (status.error_code() == grpc::StatusCode::UNAVAILABLE && !status.error_message().starts_with("job")) {
        status = Status(status.error_code(), "node " + located->node + ", where job " + request->job() +
                                                 " is, cannot be reached: " + status.error_message());
      }
    }
    if (status.error_code() != grpc::StatusCode::NOT_FOUND) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return status;
}

Status GodwitService::Run(Context* context, const api::RunRequest* request, api::RunReply* reply) {
  auto caller = caller_of(*context);
  if (!caller) return kUnknownCaller;
  if (request->node().empty() || request->node() == daemon_.config().node) {
    return answer(daemon_.run(*request, *caller), reply);
  }
  auto channel = daemon_.peers().channels().to(request->node());
  if (!channel) return to_status(channel.error());
  grpc::ClientContext onward;
  onward.AddMetadata(kUidKey, std::to_string(caller->uid));
  return api::Godwit::NewStub(*channel)->Run(&onward, *request, reply);
}

Status GodwitService::ListJobs(Context* context, const api::ListJobsRequest* request, api::ListJobsReply* reply) {
  auto caller = caller_of(*context);
  if (!caller) return kUnknownCaller;
  auto here = daemon_.list_here(*caller, request->all());
  if (!here) return to_status(here.error());
  *reply = std::move(*here);
  if (!peer_node(*context).empty()) return Status::OK;  // another daemon asks for what is here
  auto nodes = daemon_.nodes();
  if (!nodes) return to_status(nodes.error());
  for (const api::Node& node : nodes->nodes()) {
    if (node.self() || !node.up()) continue;
    auto channel = daemon_.peers().channels().to(node.name());
    if (!channel) continue;
    grpc::ClientContext onward;
    onward.AddMetadata(kUidKey, std::to_string(caller->uid));
    onward.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(3));
    api::ListJobsReply there;
    if (!api::Godwit::NewStub(*channel)->ListJobs(&onward, *request, &there).ok()) continue;
    for (api::Job& job : *there.mutable_jobs()) *reply->add_jobs() = std::move(job);
  }
  return Status::OK;
}

Status GodwitService::Inspect(Context* context, const api::JobRequest* request, api::Job* reply) {
  return where_it_is(context, request, reply, &api::Godwit::Stub::Inspect,
                     [&](const std::string& id, const Caller&) { return daemon_.inspect(id); });
}

Status GodwitService::Cancel(Context* context, const api::JobRequest* request, api::Done* reply) {
  return where_it_is(context, request, reply, &api::Godwit::Stub::Cancel,
                     [&](const std::string& id, const Caller&) { return daemon_.cancel(id); });
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

Status GodwitService::Remove(Context* context, const api::JobRequest* request, api::Done* reply) {
  return where_it_is(context, request, reply, &api::Godwit::Stub::Remove,
                     [&](const std::string& id, const Caller&) { return daemon_.remove(id); });
}

Status GodwitService::Stop(Context* context, const api::StopRequest* request, api::Done* reply) {
  return where_it_is(context, request, reply, &api::Godwit::Stub::Stop,
                     [&](const std::string& id, const Caller&) -> Result<void> {
                       TRY(daemon_.signal(id, 0, SIGTERM, false));
                       auto follow = TRY(daemon_.follow(id, 0));
                       auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(request->grace_ms());
                       uint64_t seen = 0;
                       for (;;) {
                         auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                             deadline - std::chrono::steady_clock::now());
                         auto now = follow.watch->wait(seen, std::max(left, std::chrono::milliseconds(0)));
                         seen = now.changes;
                         if (now.ended.contains(0)) return {};
                         if (now.gone) return error(ErrorKind::gone, "the job moved");
                         if (left.count() <= 0) break;
                       }
                       return daemon_.signal(id, 0, SIGKILL, true);
                     });
}

Status GodwitService::Wait(Context* context, const api::WaitRequest* request, api::WaitReply* reply) {
  auto caller = caller_of(*context);
  if (!caller) return kUnknownCaller;
  Follower follower(daemon_, *caller, {.job = request->job(), .console = request->console(), .from_end = true});
  bool ended = false;
  Status status = follower.run([&](const api::Output& output) {
    if (output.has_ended()) reply->set_status(output.ended().status());
    ended = ended || output.has_ended();
    return !context->IsCancelled();
  });
  if (!status.ok() || ended) return status;
  return {grpc::StatusCode::CANCELLED, "the wait was cancelled"};
}

Status GodwitService::Logs(Context* context, const api::LogsRequest* request, grpc::ServerWriter<api::Output>* writer) {
  auto caller = caller_of(*context);
  if (!caller) return kUnknownCaller;
  FollowRequest what{.job = request->job(), .console = request->console(), .from_offset = request->from_offset(),
                     .until_end_of_job = request->follow(), .tail_bytes = request->tail_bytes()};
  Follower follower(daemon_, *caller, what);
  return follower.run([&](const api::Output& output) { return writer->Write(output) && !context->IsCancelled(); });
}

// Input goes to where the job is; while it is being moved it waits.
Status GodwitService::pass_input(const Caller& caller, const api::AttachInput& input,
                                 const api::AttachInput::Open& open) {
  Status status;
  for (int attempt = 0; attempt < 1000; ++attempt) {
    auto located = daemon_.locate(open.job(), caller);
    if (!located) return to_status(located.error());
    if (located->node == daemon_.config().node) {
      Result<void> done;
      if (input.has_window_size()) {
        done = daemon_.window_size(located->id, open.console(), input.window_size().rows(), input.window_size().columns());
      } else if (input.has_signal()) {
        done = daemon_.signal(located->id, open.console(), input.signal(), false);
      } else {
        done = daemon_.input(located->id, open.console(), input.data(), input.end_of_input());
      }
      if (done) return Status::OK;
      status = to_status(done.error());
    } else {
      auto channel = daemon_.peers().channels().to(located->node);
      if (!channel) return to_status(channel.error());
      grpc::ClientContext onward;
      onward.AddMetadata(kUidKey, std::to_string(caller.uid));
      auto stream = api::Godwit::NewStub(*channel)->Attach(&onward);
      api::AttachInput first;
      *first.mutable_open() = open;
      first.mutable_open()->set_job(located->id);
      first.mutable_open()->set_from_end(true);
      bool sent = stream->Write(first) && stream->Write(input) && stream->WritesDone();
      api::Output ignored;
      while (sent && stream->Read(&ignored)) {
      }
      status = stream->Finish();
      if (status.ok()) return status;
    }
    bool again = status.error_code() == grpc::StatusCode::UNAVAILABLE || status.error_code() == grpc::StatusCode::NOT_FOUND;
    if (!again) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return status;
}

Status GodwitService::Attach(Context* context, grpc::ServerReaderWriter<api::Output, api::AttachInput>* stream) {
  auto caller = caller_of(*context);
  api::AttachInput first;
  if (!caller) return kUnknownCaller;
  if (!stream->Read(&first) || !first.has_open()) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "an attachment begins with `open`"};
  }
  api::AttachInput::Open open = first.open();
  if (!peer_node(*context).empty()) {  // another daemon delivers input
    api::AttachInput input;
    while (stream->Read(&input)) {
      Status status = pass_input(*caller, input, open);
      if (!status.ok()) return status;
    }
    return Status::OK;
  }
  FollowRequest what{.job = open.job(), .console = open.console(), .from_offset = open.from_offset(),
                     .from_end = open.from_end(), .counts_as_reader = true};
  Follower follower(daemon_, *caller, what);
  Status output_status;
  std::thread output([&] {
    output_status = follower.run([&](const api::Output& piece) { return stream->Write(piece); });
    context->TryCancel();  // ends the Read below
  });
  api::AttachInput input;
  while (stream->Read(&input)) {
    if (!open.with_input() && !input.has_window_size()) continue;
    if (!pass_input(*caller, input, open).ok()) break;
  }
  if (context->IsCancelled()) follower.stop();
  output.join();
  return output_status;
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
    grpc::ClientContext onward;
    onward.AddMetadata(kUidKey, std::to_string(caller->uid));
    api::MoveRequest there = *request;
    there.set_job(located->id);
    auto reader = api::Godwit::NewStub(*channel)->Move(&onward, there);
    api::MoveEvent event;
    while (reader->Read(&event)) writer->Write(event);
    return reader->Finish();
  }
  auto stream = daemon_.move(located->id, *request);
  if (!stream) return to_status(stream.error());
  while (auto event = (*stream)->next()) writer->Write(*event);
  return Status::OK;
}

Status GodwitService::Nodes(Context*, const api::NodesRequest*, api::NodesReply* reply) {
  return answer(daemon_.nodes(), reply);
}

Status GodwitService::Events(Context* context, const api::EventsRequest* request,
                             grpc::ServerWriter<api::Event>* writer) {
  auto caller = caller_of(*context);
  if (!caller) return kUnknownCaller;
  uint64_t number = 0;
  while (!context->IsCancelled()) {
    for (const api::Event& event : daemon_.events_since(number, std::chrono::milliseconds(500))) {
      bool wanted = request->job().empty() || request->job() == event.job() || request->job() == event.name();
      if (wanted && (caller->uid == 0 || daemon_.locate(event.job(), *caller)) && !writer->Write(event)) return Status::OK;
    }
  }
  return Status::OK;
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
