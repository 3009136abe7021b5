// The calls of the Godwit service that carry output and input: Attach, Logs, Wait.
#include <atomic>
#include <future>
#include <thread>

#include "node/console_input.h"
#include "node/follower.h"
#include "node/rpc_godwit.h"

namespace godwit::node {

using Status = grpc::Status;

namespace {

constexpr std::chrono::seconds kGoodbye(3);
using Stream = grpc::ServerReaderWriter<api::Output, api::AttachInput>;

// Another daemon brings a user's input to where it thinks the job is.
Status take_input(Daemon& daemon, const Caller& caller, const api::AttachInput::Open& open, Stream& stream) {
  auto input = ConsoleInput::create(daemon, caller,
                                    {.job = open.job(),
                                     .console = open.console(),
                                     .only_here = true,
                                     .taken =
                                         [&stream](uint64_t bytes, bool end) {
                                           api::Output output;
                                           output.mutable_input_taken()->set_bytes(bytes);
                                           output.mutable_input_taken()->set_end(end);
                                           stream.Write(output);
                                         },
                                     .over =
                                         [&stream](bool ended) {
                                           api::Output output;
                                           output.mutable_input_taken()->set_moved(!ended);
                                           output.mutable_input_taken()->set_ended(ended);
                                           stream.Write(output);
                                         }});
  if (!input) return to_status(input.error());
  api::AttachInput next;
  while (stream.Read(&next)) (*input)->add(next);
  return Status::OK;
}

}  // namespace

Status GodwitService::Attach(Context* context, Stream* stream) {
  auto caller = caller_of(*context);
  api::AttachInput first;
  if (!caller) return kUnknownCaller;
  if (!stream->Read(&first) || !first.has_open()) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "an attachment begins with `open`"};
  }
  api::AttachInput::Open open = first.open();
  if (caller->forwarded) return take_input(daemon_, *caller, open, *stream);

  auto input = ConsoleInput::create(daemon_, *caller, {.job = open.job(), .console = open.console()});
  if (!input) return to_status(input.error());
  Follower follower(daemon_, *caller, *context,
                    {.job = open.job(),
                     .console = open.console(),
                     .from_offset = open.from_offset(),
                     .from_end = open.from_end(),
                     .counts_as_reader = true});
  std::promise<void> client_done;
  std::thread reader([&] {
    api::AttachInput next;
    while (stream->Read(&next)) {
      if (open.with_input() || next.has_window_size()) (*input)->add(next);
    }
    client_done.set_value();
  });
  Status status = follower.run([&](const api::Output& piece) { return stream->Write(piece); });
  // The client has all of it and says goodbye; one that does not is cut off.
  (*input)->stop();
  if (client_done.get_future().wait_for(kGoodbye) != std::future_status::ready) context->TryCancel();
  reader.join();
  return status;
}

Status GodwitService::Logs(Context* context, const api::LogsRequest* request, grpc::ServerWriter<api::Output>* writer) {
  auto caller = caller_of(*context);
  if (!caller) return kUnknownCaller;
  Follower follower(daemon_, *caller, *context,
                    {.job = request->job(),
                     .console = request->console(),
                     .from_offset = request->from_offset(),
                     .from_end = request->from_end(),
                     .until_end_of_job = request->follow(),
                     .tail_bytes = request->tail_bytes()});
  return follower.run([&](const api::Output& output) { return writer->Write(output); });
}

Status GodwitService::Wait(Context* context, const api::WaitRequest* request, api::WaitReply* reply) {
  auto caller = caller_of(*context);
  if (!caller) return kUnknownCaller;
  Follower follower(daemon_, *caller, *context,
                    {.job = request->job(), .console = request->console(), .only_end = true, .from_end = true});
  bool ended = false;
  Status status = follower.run([&](const api::Output& output) {
    if (output.has_ended()) reply->set_status(output.ended().status());
    ended = ended || output.has_ended();
    return true;
  });
  if (!status.ok() || ended) return status;
  return {grpc::StatusCode::CANCELLED, "the wait was cancelled"};
}

}  // namespace godwit::node
