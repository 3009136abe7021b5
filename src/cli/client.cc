#include "cli/client.h"

#include <fmt/format.h>

#include <array>

#include "cli/daemon_answers.h"
#include "cli/grpc_channel.h"
#include "cli/output.h"

namespace godwit::cli {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds kConnectPatience{5000};
constexpr milliseconds kAnswerPatience{1000};
constexpr int kLargestMessage = 64 << 20;

int exit_code_of(grpc::StatusCode code) {
  switch (code) {
    case grpc::INVALID_ARGUMENT: return kUsage;
    case grpc::NOT_FOUND:
    case grpc::ALREADY_EXISTS:
    case grpc::PERMISSION_DENIED:
    case grpc::UNAUTHENTICATED:
    case grpc::UNIMPLEMENTED:
    case grpc::FAILED_PRECONDITION: return kRefused;
    case grpc::DATA_LOSS: return kLost;
    default: return kFailed;
  }
}

template <class Reply, class Request>
using Method = grpc::Status (api::Godwit::Stub::*)(grpc::ClientContext*, const Request&, Reply*);

// One call with one answer.
template <class Reply, class Request>
Answer<Reply> call(Client::Channel& channel, Method<Reply, Request> method, const Request& request,
                   double timeout_ms = 0) {
  grpc::ClientContext context;
  if (timeout_ms > 0) context.set_deadline(from_now(milliseconds(static_cast<long>(timeout_ms))));
  Reply reply;
  grpc::Status status = (channel.stub.get()->*method)(&context, request, &reply);
  if (!status.ok()) return std::unexpected(failure_of(status, channel.address));
  return reply;
}

template <class T>
Answer<void> without_value(const Answer<T>& answer) {
  if (!answer) return std::unexpected(answer.error());
  return {};
}

template <class Item, class Request>
using StreamMethod = std::unique_ptr<grpc::ClientReader<Item>> (api::Godwit::Stub::*)(grpc::ClientContext*,
                                                                                      const Request&);

// One call with a stream of answers, without a deadline, until its end or until `each` says no.
template <class Item, class Request>
Answer<void> read_all(Client::Channel& channel, StreamMethod<Item, Request> method, const Request& request,
                      const std::type_identity_t<std::function<bool(const Item&)>>& each) {
  grpc::ClientContext context;
  auto reader = (channel.stub.get()->*method)(&context, request);
  Item item;
  while (reader->Read(&item)) {
    if (each(item)) continue;
    context.TryCancel();
    while (reader->Read(&item)) {
    }
    reader->Finish();
    return {};
  }
  grpc::Status status = reader->Finish();
  if (!status.ok()) return std::unexpected(failure_of(status, channel.address));
  return {};
}

}  // namespace

int complain(const Failure& failure) {
  complain(failure.sentence);
  return failure.exit_code;
}

bool connection_broke(const grpc::Status& status) {
  if (status.error_code() != grpc::UNAVAILABLE) return false;
  static constexpr std::array kTransportWords = {"failed to connect", "Socket closed",      "onnection reset",
                                                 "onnection refused", "Broken pipe",        "GOAWAY",
                                                 "recvmsg:",          "Endpoint read fail", "transport is closing",
                                                 "Stream removed",    "RST_STREAM",         "nknown channel"};
  for (const char* words : kTransportWords)
    if (status.error_message().find(words) != std::string::npos) return true;
  return status.error_message().empty();
}

Failure failure_of(const grpc::Status& status, const Address& address) {
  if (connection_broke(status))
    return {fmt::format("the connection to {} broke before it answered; jobs run on, `godwit ps` shows where",
                        address.words),
            kFailed};
  if (status.error_code() == grpc::UNIMPLEMENTED)
    return {fmt::format("{} does not know this request; it runs another version of godwit", address.words), kRefused};
  if (status.error_message().empty())
    return {fmt::format("{} gave no answer (status {})", address.words, static_cast<int>(status.error_code())),
            kFailed};
  return {status.error_message(), exit_code_of(status.error_code())};
}

std::shared_ptr<grpc::Channel> open_channel(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kLargestMessage);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

bool daemon_answers(const std::string& socket) {
  Client::Channel channel{.grpc = open_channel("unix:" + socket), .stub = nullptr, .address = {}};
  if (!channel.grpc->WaitForConnected(from_now(kAnswerPatience))) return false;
  channel.stub = api::Godwit::NewStub(channel.grpc);
  return call(channel, &api::Godwit::Stub::Nodes, api::NodesRequest(), kAnswerPatience.count()).has_value();
}

Client::Client(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;

Answer<Client> Client::connect(const Globals& globals) {
  Result<Address> address = find_daemon(globals, real_surroundings());
  if (!address) return std::unexpected(Failure{address.error().context, kFailed});
  auto channel =
      std::make_shared<Channel>(Channel{.grpc = open_channel(address->target), .stub = {}, .address = *address});
  if (!channel->grpc->WaitForConnected(from_now(kConnectPatience)))
    return std::unexpected(
        Failure{fmt::format("{} does not answer; see whether godwitd runs there and whether you may open its socket",
                            address->words),
                kFailed});
  channel->stub = api::Godwit::NewStub(channel->grpc);
  return Client(std::move(channel));
}

bool Client::in_lab() const { return channel_->address.target.starts_with(std::string("unix:") + kLabDirectory + "/"); }

Answer<api::RunReply> Client::run(const api::RunRequest& request) {
  return call(*channel_, &api::Godwit::Stub::Run, request);
}

Answer<api::ListJobsReply> Client::list_jobs(bool all) {
  api::ListJobsRequest request;
  request.set_all(all);
  return call(*channel_, &api::Godwit::Stub::ListJobs, request);
}

Answer<api::Job> Client::inspect(const std::string& job) {
  api::JobRequest request;
  request.set_job(job);
  return call(*channel_, &api::Godwit::Stub::Inspect, request);
}

Answer<api::ExecReply> Client::exec(const api::ExecRequest& request) {
  return call(*channel_, &api::Godwit::Stub::Exec, request);
}

Answer<void> Client::kill(const api::KillRequest& request) {
  return without_value(call(*channel_, &api::Godwit::Stub::Kill, request));
}

Answer<void> Client::set_forwarding(const std::string& job, const std::string& mechanism) {
  api::ForwardingRequest request;
  request.set_job(job);
  request.set_mechanism(mechanism);
  return without_value(call(*channel_, &api::Godwit::Stub::SetForwarding, request));
}

Answer<void> Client::stop(const std::string& job, uint32_t grace_ms) {
  api::StopRequest request;
  request.set_job(job);
  request.set_grace_ms(grace_ms);
  return without_value(call(*channel_, &api::Godwit::Stub::Stop, request));
}

Answer<api::NodesReply> Client::nodes() { return call(*channel_, &api::Godwit::Stub::Nodes, api::NodesRequest()); }

Answer<api::TokenReply> Client::token(uint32_t valid_seconds) {
  api::TokenRequest request;
  request.set_valid_seconds(valid_seconds);
  return call(*channel_, &api::Godwit::Stub::Token, request);
}

Answer<int> Client::wait(const std::string& job, double timeout_ms) {
  api::WaitRequest request;
  request.set_job(job);
  grpc::ClientContext context;
  if (timeout_ms > 0) context.set_deadline(from_now(milliseconds(static_cast<long>(timeout_ms))));
  api::WaitReply reply;
  grpc::Status status = channel_->stub->Wait(&context, request, &reply);
  if (status.error_code() == grpc::DEADLINE_EXCEEDED && timeout_ms > 0)
    return std::unexpected(Failure{fmt::format("{} has not ended in that time; it runs on", job), kFailed});
  if (!status.ok()) return std::unexpected(failure_of(status, channel_->address));
  return reply.status();
}

Answer<void> Client::cancel_move(const std::string& job) {
  api::JobRequest request;
  request.set_job(job);
  return without_value(call(*channel_, &api::Godwit::Stub::Cancel, request));
}

Answer<void> Client::switch_move(const std::string& job) {
  api::JobRequest request;
  request.set_job(job);
  return without_value(call(*channel_, &api::Godwit::Stub::Switch, request));
}

Answer<void> Client::resume_move(const std::string& job) {
  api::JobRequest request;
  request.set_job(job);
  return without_value(call(*channel_, &api::Godwit::Stub::Resume, request));
}

Answer<void> Client::move(const api::MoveRequest& request, const std::function<void(const api::MoveEvent&)>& each) {
  return read_all(*channel_, &api::Godwit::Stub::Move, request, [&](const api::MoveEvent& event) {
    each(event);
    return true;
  });
}

Answer<void> Client::logs(const api::LogsRequest& request, const std::function<bool(const api::Output&)>& each) {
  return read_all(*channel_, &api::Godwit::Stub::Logs, request, each);
}

Answer<void> Client::events(const std::string& job, const std::function<bool(const api::Event&)>& each) {
  api::EventsRequest request;
  request.set_job(job);
  return read_all(*channel_, &api::Godwit::Stub::Events, request, each);
}

Answer<void> Client::trace(const std::string& job, uint32_t port,
                           const std::function<bool(const api::TracedPacket&)>& each) {
  api::TraceRequest request;
  request.set_job(job);
  request.set_port(port);
  return read_all(*channel_, &api::Godwit::Stub::Trace, request, each);
}

std::unique_ptr<ConsoleLink> Client::attach(const AttachOptions& options) {
  return make_grpc_console_link(channel_, options);
}

}  // namespace godwit::cli
