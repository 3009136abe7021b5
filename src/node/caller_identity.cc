#include "node/caller_identity.h"

#include <sys/socket.h>

#include <charconv>

#include "node/peer_channels.h"

namespace godwit::node {

std::string peer_node(const grpc::ServerContext& context) {
  auto authentication = context.auth_context();
  if (!authentication || !authentication->IsPeerAuthenticated()) return {};
  auto names = authentication->FindPropertyValues("x509_subject_alternative_name");
  return names.empty() ? std::string() : std::string(names.front().data(), names.front().size());
}

std::optional<Caller> caller_of(const grpc::ServerContext& context) {
  uint32_t uid = 0;
  if (!peer_node(context).empty()) {
    auto stated = context.client_metadata().find(kUidKey);
    if (stated == context.client_metadata().end()) return std::nullopt;
    auto text = stated->second;
    auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), uid);
    if (failed != std::errc() || rest != text.data() + text.size()) return std::nullopt;
    return Caller{uid, true};
  }
  // gRPC names a connection it was handed by its descriptor, "fd:N"; it is open as long as the call lasts.
  std::string name = context.peer();
  if (!name.starts_with("fd:")) return std::nullopt;
  int fd = -1;
  auto [rest, failed] = std::from_chars(name.data() + 3, name.data() + name.size(), fd);
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (failed != std::errc() || ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return std::nullopt;
  }
  return Caller{credentials.uid, false};
}

}  // namespace godwit::node
