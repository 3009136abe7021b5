// MessageRoutes: how messages find logical hosts, as this node's daemon sees it: the links it knows, its kernel's
// routes, and what it says to other nodes and asks of them. What is done when is decided by a job's forwarding
// mechanism (src/forwarding). Loop thread only, but for learn_node().
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "forwarding/link_watch.h"
#include "forwarding/mechanism.h"
#include "forwarding/routes.h"
#include "forwarding/tunnel.h"
#include "node/background.h"
#include "node/event_loop.h"
#include "node/job.h"
#include "node/message_tally.h"
#include "node/peers.h"
#include "sys/netlink.h"

namespace godwit::node {

class MessageRoutes final : public forwarding::Surroundings {
 public:
  // `find`: a job that is here, by its address.
  using FindJob = std::function<Job*(forwarding::VirtualAddress)>;
  MessageRoutes(std::string self, std::string address, forwarding::TunnelSettings tunnel, EventLoop& loop, Peers& peers,
                directory::Directory& directory, FindJob find);
  // Makes the node's network ready and begins to listen. A node where that fails runs jobs without addresses.
  Result<void> start();
  bool ready() const { return netlink_.has_value(); }
  const forwarding::NodePlace& place() const { return here_; }
  // Thread-safe. That reaches all nodes, in bytes; 0: as large as any.
  uint32_t largest_packet() const { return largest_packet_; }
  void set_own_number(uint32_t number);
  // Thread-safe.
  void learn_node(const std::string& node, uint32_t number, const std::string& host);
  // Thread-safe. After learn_node(), for all that can be known now.
  void nodes_learned();
  uint32_t number_of(const std::string& node);
  // As the destination of a move; host and port are the caller's.
  void describe(const std::string& node, worker::PeerAddress& into);

  // A job's life here. `job` is in the table.
  void is_here(Job& job);
  // It has come here by a migration, and is_here().
  void arrived(const Job& job);
  // A job is on its way here: until it is here, messages for it go to the source.
  void expected(uint32_t address, const std::string& source);
  void freezing(Job& job, const std::string& to);
  void stayed(Job& job);
  // It runs there; something of it may still be here until gone().
  void left(const Job& job, const std::string& to);
  void gone(const Job& job);
  void ended(const Job& job);
  // Its forwarding mechanism has been changed.
  void mechanism_changed(Job& job);
  api::MessageCounts count(uint32_t address) { return tally_.of({address}); }
  api::MessageCounts count_all() { return tally_.all(); }

  // Other nodes' questions and words.
  api::Whereabouts where(const api::WhereRequest& request);
  void told(const api::Whereabouts& word);

 private:
  // forwarding::Surroundings
  const std::string& self() const override { return self_; }
  std::string home_of(forwarding::VirtualAddress address) const override;
  void link_to(forwarding::VirtualAddress address, const std::string& node) override;
  void unlink(forwarding::VirtualAddress address) override;
  void end_diversion(forwarding::VirtualAddress address) override;
  void release(forwarding::VirtualAddress address) override;
  void drop_waiting(forwarding::VirtualAddress address) override;
  void refuse_waiting(forwarding::VirtualAddress address) override;
  void drop_passing(forwarding::VirtualAddress address, bool drop) override;
  void tell(const std::string& node, const forwarding::Word& word, std::function<void(bool)> done) override;
  void ask(const std::string& node, forwarding::VirtualAddress address, Heard heard) override;
  void ask_directory(forwarding::VirtualAddress address, Heard heard) override;
  void ask_everybody(forwarding::VirtualAddress address, Heard heard) override;
  void after(std::chrono::milliseconds delay, std::function<void()> work) override;
  forwarding::Link* find_link(forwarding::VirtualAddress address) override;

  static const forwarding::Mechanism& mechanism_of(const std::string& name);
  bool wants_looks(const forwarding::Link& link) const;
  void look_later();
  void look_at_links();
  void judge(uint32_t code, const forwarding::LinkWatch::Verdict& verdict);
  void tally_later(forwarding::VirtualAddress address, MessageTally::Fate fate);
  void read_wanted();
  void wanted(forwarding::VirtualAddress address);
  void change(const forwarding::NetlinkBatch& batch, const char* what);
  Job* find_here(forwarding::VirtualAddress address) const;
  void remove_job_link(const std::string& interface);
  forwarding::Move move_of(const Job& job, const std::string& to) const;
  std::optional<forwarding::NextHop> next_hop(const std::string& node);
  bool tunnelled(const sys::IpAddress& node);
  void note(const forwarding::Word& word);
  // From any thread.
  Result<forwarding::Word> look_up(forwarding::VirtualAddress address);
  void introduce(const std::string& partner, forwarding::VirtualAddress address, const std::string& to);
  void heard(Heard heard, Result<forwarding::Word> answer);

  struct NodeEntry {
    uint32_t number;
    std::string host;
  };
  std::string self_, address_;
  EventLoop& loop_;
  Peers& peers_;
  directory::Directory& directory_;
  FindJob find_;
  Background conversations_{8};
  std::optional<sys::Netlink> netlink_;  // nothing: no network for jobs
  std::optional<sys::Netlink> listening_;
  forwarding::NodePlace here_;
  forwarding::TunnelSettings tunnel_settings_;
  std::atomic<uint32_t> largest_packet_ = 0;
  std::optional<forwarding::Tunnel> tunnel_;  // nothing: all nodes must share a link
  uint32_t own_number_ = 0;
  MessageTally tally_;
  std::map<uint32_t, forwarding::Link> links_;  // by address
  std::map<uint32_t, forwarding::LinkWatch> watches_;
  bool looking_ = false;
  std::set<uint32_t> told_frozen_;              // addresses whose messages are held for a node that said so
  std::map<uint32_t, forwarding::Move> moves_;  // from here, under way, by address
  std::set<uint32_t> left_;  // addresses of jobs that run elsewhere while something of them is still here
  std::map<uint32_t, std::set<std::string>> late_;  // nodes that asked for an address during its move from here
  std::map<uint32_t, bool> searching_;  // addresses being located, and whether they were wanted again meanwhile
  mutable std::mutex nodes_mutex_;
  std::map<std::string, NodeEntry> nodes_;  // under nodes_mutex_
};

}  // namespace godwit::node
