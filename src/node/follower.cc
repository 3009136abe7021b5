#include "node/follower.h"

#include <thread>

#include "node/log_reader.h"
#include "node/peer_channels.h"

namespace godwit::node {

namespace {

constexpr std::chrono::milliseconds kLook(1000);
constexpr int kAttempts = 100;  // to find a job that is between two nodes

api::Output output_of(LogPiece piece) {
  api::Output output;
  output.set_stream(piece.stream);
  output.set_data(std::move(piece.bytes));
  output.set_next_offset(piece.next_offset);
  output.set_realtime_ns(piece.realtime_ns);
  return output;
}

}  // namespace

Result<bool> Follower::give_out(LogReader& reader, const std::string& id, uint64_t skip_until, const Sink& sink) {
  uint64_t before = request_.from_offset;
  while (auto piece = TRY(reader.next())) {
    request_.from_offset = piece->next_offset;
    if (piece->next_offset > skip_until && !sink(output_of(std::move(*piece)))) return false;
  }
  bool grew = request_.from_offset != before;
  if (grew && request_.counts_as_reader) daemon_.credit(id, request_.console, request_.from_offset);
  return true;
}

Result<Follower::Outcome> Follower::here(const std::string& id, const Sink& sink) {
  Daemon::Follow follow = TRY(daemon_.follow(id, request_.console));
  std::optional<LogReader> reader;
  uint64_t skip_until = 0;
  if (!request_.only_end) {
    reader = TRY(LogReader::open(follow.log, request_.from_offset));
    uint64_t length = TRY(reader->length());
    if (std::exchange(request_.from_end, false)) {
      reader = TRY(LogReader::open(follow.log, request_.from_offset = length));
      api::Output position;  // so that another daemon knows where to go on when the job moves
      position.set_next_offset(length);
      if (caller_.forwarded && !sink(position)) return Outcome::listener_gone;
    }
    uint64_t tail = std::exchange(request_.tail_bytes, 0);
    if (tail != 0 && length > tail) skip_until = length - tail;
  }
  auto snapshot = follow.watch->wait(0, std::chrono::milliseconds(0));
  for (; !context_.IsCancelled(); snapshot = follow.watch->wait(snapshot.changes, kLook)) {
    // The snapshot is older than the look into the log: what was written before an end is there.
    if (reader && !TRY(give_out(*reader, id, skip_until, sink))) return Outcome::listener_gone;
    if (snapshot.gone) return Outcome::moved;
    auto ended = snapshot.ended.find(request_.console);
    if (ended != snapshot.ended.end()) {
      api::Output last;
      last.mutable_ended()->set_status(ended->second);
      last.set_next_offset(request_.from_offset);
      sink(last);
      return Outcome::ended;
    }
    if (!request_.until_end_of_job) return Outcome::ended;
  }
  return Outcome::listener_gone;
}

Result<Follower::Outcome> Follower::elsewhere(const Located& located, const Sink& sink) {
  auto stub = api::Godwit::NewStub(TRY(daemon_.peers().channels().to(located.node)));
  auto context = grpc::ClientContext::FromServerContext(context_);  // cancelled with the call that is answered
  context->AddMetadata(kUidKey, std::to_string(caller_.uid));
  if (request_.only_end) {
    api::WaitRequest request;
    request.set_job(located.id);
    request.set_console(request_.console);
    api::WaitReply reply;
    grpc::Status status = stub->Wait(context.get(), request, &reply);
    if (!status.ok()) return from_status(status, located.node);
    api::Output last;
    last.mutable_ended()->set_status(reply.status());
    sink(last);
    return Outcome::ended;
  }
  api::LogsRequest request;
  request.set_job(located.id);
  request.set_console(request_.console);
  request.set_follow(request_.until_end_of_job);
  request.set_from_offset(request_.from_offset);
  request.set_from_end(request_.from_end);
  request.set_tail_bytes(request_.tail_bytes);
  auto stream = stub->Logs(context.get(), request);
  api::Output output;
  while (stream->Read(&output)) {
    request_.from_offset = std::max(request_.from_offset, output.next_offset());
    request_.tail_bytes = 0;
    request_.from_end = false;
    bool says_something = !output.data().empty() || output.has_ended();
    if (says_something && !sink(output)) {
      context->TryCancel();
      return Outcome::listener_gone;
    }
    if (output.has_ended()) return Outcome::ended;
  }
  grpc::Status status = stream->Finish();
  if (status.ok()) return Outcome::ended;
  return from_status(status, located.node);
}

grpc::Status Follower::run(const Sink& sink) {
  Error last = error(ErrorKind::gone, "there is no job " + request_.job);
  for (int attempt = 0; attempt < kAttempts && !context_.IsCancelled(); ++attempt) {
    auto located = daemon_.locate(request_.job, caller_);
    if (!located) return to_status(located.error());
    uint64_t before = request_.from_offset;
    bool local = located->node == daemon_.config().node;
    auto outcome = local ? here(located->id, sink) : elsewhere(*located, sink);
    if (outcome && *outcome != Outcome::moved) return grpc::Status::OK;
    if (outcome || request_.from_offset != before) attempt = 0;
    if (!outcome) last = outcome.error();
    bool passing =
        outcome || last.kind == ErrorKind::gone || last.kind == ErrorKind::peer_lost || last.kind == ErrorKind::retry;
    if (!passing) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(outcome ? 1 : 20));
  }
  return context_.IsCancelled() ? grpc::Status::CANCELLED : to_status(last);
}

}  // namespace godwit::node
