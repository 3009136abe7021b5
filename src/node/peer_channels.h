// gRPC channels to other nodes, with mutual TLS. Included by rpc files only.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <mutex>

#include "base/result.h"
#include "godwit/api.grpc.pb.h"
#include "node/peers.h"

namespace godwit::node {

struct Peers::Channels {
  struct Node {
    std::string address;
    std::shared_ptr<grpc::Channel> channel;
  };
  std::string self;
  transport::TlsFiles tls;
  std::mutex mutex;
  std::map<std::string, Node> nodes;  // under mutex

  Result<std::shared_ptr<grpc::Channel>> to(const std::string& node);
};

inline constexpr int kKeepaliveMs = 10'000;
inline constexpr int kLargestMessage = 64 << 20;

// The metadata key that carries the caller's uid from one daemon to another.
inline constexpr char kUidKey[] = "godwit-uid";

// Of a call to `node`, in words for a user: what gRPC says of its connections is for the log.
grpc::Status in_own_words(const grpc::Status& status, const std::string& node);
Error from_status(const grpc::Status& status, const std::string& node);
grpc::Status to_status(const Error& error);
std::string read_file_or_empty(const std::string& path);

}  // namespace godwit::node
