// A connection to one daemon and what its failures mean. For client.cc and grpc_console_link.cc only: gRPC is slow to
// compile.
#pragma once

#include <godwit/api.grpc.pb.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "cli/client.h"

namespace godwit::cli {

struct Client::Channel {
  std::shared_ptr<grpc::Channel> grpc;
  std::unique_ptr<api::Godwit::Stub> stub;
  Address address;
};

std::shared_ptr<grpc::Channel> open_channel(const std::string& target);
std::unique_ptr<ConsoleLink> make_grpc_console_link(std::shared_ptr<Client::Channel> channel,
                                                    const Client::AttachOptions& options);

// The connection itself failed; nothing was said by a daemon.
bool connection_broke(const grpc::Status& status);
Failure failure_of(const grpc::Status& status, const Address& address);

inline std::chrono::system_clock::time_point from_now(std::chrono::milliseconds length) {
  return std::chrono::system_clock::now() + length;
}

}  // namespace godwit::cli
