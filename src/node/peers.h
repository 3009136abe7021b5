// Other nodes of the cluster: where they are, and calls to them. Thread-safe; calls block, so never from the loop's
// thread.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "directory/directory.h"
#include "godwit/api.pb.h"
#include "transport/certificates.h"

namespace godwit::node {

class Peers {
 public:
  Peers(std::string self, transport::TlsFiles tls);
  ~Peers();
  void set_address(const std::string& node, const std::string& host, unsigned port);
  // "HOST:PORT"; empty when it is not known.
  std::string address_of(const std::string& node);

  Result<api::PrepareReply> prepare(const std::string& node, const api::PrepareRequest& request);
  // Why the migration failed, as far as that node knows.
  Result<std::string> abandon(const std::string& node, const std::string& migration);
  // Whether memory of a migration from that node is still there to be fetched. Errors: gone when it is not.
  Result<void> still_leaving(const std::string& node, const std::string& migration);
  Result<api::Whereabouts> where(const std::string& node, const api::WhereRequest& request);
  Result<api::MessageCounts> count_messages(const std::string& node, const api::WhereRequest& request);
  Result<void> tell_moved(const std::string& node, const api::MovedReport& report);
  Result<void> tell_where(const std::string& node, const api::Whereabouts& word);
  Result<api::DirectoryEntry> directory_get(const std::string& node, const api::DirectoryGetRequest& request);
  Result<api::DirectoryListReply> directory_list(const std::string& node, const api::DirectoryListRequest& request);
  Result<api::DirectoryWatchReply> directory_watch(const std::string& node, const api::DirectoryWatchRequest& request);
  Result<api::DirectoryEntry> directory_put(const std::string& node, const api::DirectoryPutRequest& request);

  struct Channels;  // gRPC's, in rpc files only
  Channels& channels() { return *channels_; }

 private:
  std::unique_ptr<Channels> channels_;
};

// The directory as another node's daemon keeps it.
class RemoteDirectory : public directory::Directory {
 public:
  RemoteDirectory(Peers& peers, std::string node) : peers_(peers), node_(std::move(node)) {}
  Result<std::optional<directory::Entry>> get(std::string_view key) override;
  Result<std::vector<directory::Entry>> list(std::string_view prefix) override;
  Result<uint64_t> put(std::string_view key, std::string_view value, directory::Expect expect,
                       std::chrono::milliseconds lease) override;
  Result<uint64_t> watch(std::string_view prefix, uint64_t since, std::chrono::milliseconds patience) override;
  Result<void> remove(std::string_view key, directory::Expect expect) override;

 private:
  Peers& peers_;
  std::string node_;
};

}  // namespace godwit::node
