// The node daemon's state and what can be asked of it: jobs, migrations out and in. gRPC's threads call these
// functions; each hands its work to the loop's thread, which owns the state, and may block meanwhile (never the loop).
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "directory/directory.h"
#include "godwit/api.pb.h"
#include "node/background.h"
#include "node/config.h"
#include "node/event_loop.h"
#include "node/job.h"
#include "node/kernel_programs.h"
#include "node/message_routes.h"
#include "node/metrics.h"
#include "node/mirrors.h"
#include "node/move_stream.h"
#include "node/peers.h"
#include "node/publications.h"
#include "node/worker_process.h"

namespace godwit::forwarding {
class PacketTrace;
}

namespace godwit::node {

// Who asks: the uid of a local caller, or what another daemon says of its caller.
struct Caller {
  uint32_t uid = ~0u;
  bool forwarded = false;  // by another daemon, which looked where the job is
  bool may(const api::Job& job) const { return uid == 0 || uid == job.uid(); }
};

struct Located {
  std::string id;
  std::string node;
};

class Daemon {
 public:
  Daemon(Config config, EventLoop& loop, Peers& peers, std::unique_ptr<directory::Directory> directory);

  // Finds the jobs that an earlier daemon left. Loop thread, before run().
  Result<void> start();
  // Tells the directory that this node is up and learns of the others; tries for `patience`, then goes on in the
  // background.
  void join_cluster(std::chrono::milliseconds patience);

  // Where a job is, by name or identifier. ErrorKind::gone: there is none, or it is not the caller's.
  Result<Located> locate(const std::string& job, const Caller& caller);
  std::optional<Located> locate_here(const std::string& job, const Caller& caller, bool ended_too);

  Result<api::RunReply> run(const api::RunRequest& request, const Caller& caller);
  Result<api::ListJobsReply> list_here(const Caller& caller, bool all);
  Result<std::vector<api::Job>> jobs_in_directory(const Caller& caller, bool all);
  Result<api::Job> inspect(const std::string& id);
  Result<api::ExecReply> exec(const std::string& id, const api::ExecRequest& request, const Caller& caller);
  Result<void> signal(const std::string& id, uint32_t console, int number, bool all);
  Result<void> remove(const std::string& id);

  // For followers of output: the watch and the log of a console here.
  struct Follow {
    std::shared_ptr<JobWatch> watch;
    std::string log;
    bool terminal = false;
  };
  Result<Follow> follow(const std::string& id, uint32_t console);
  Result<void> window_size(const std::string& id, uint32_t console, uint32_t rows, uint32_t columns);
  void credit(const std::string& id, uint32_t console, uint64_t offset);

  Result<std::shared_ptr<MoveStream>> move(const std::string& id, const api::MoveRequest& request);
  Result<void> cancel(const std::string& id);
  // Rounds of pre-copy go over to post-copy. Errors: unsupported when the job is not in rounds.
  Result<void> switch_to_postcopy(const std::string& id);
  // A move that is cut off connects again now and waits as long as in the beginning. Errors: unsupported when it is
  // not.
  Result<void> connect_now(const std::string& id);
  // Whether memory of this migration is still here to be fetched.
  bool is_leaving(const std::string& migration);
  Result<api::PrepareReply> prepare(const api::PrepareRequest& request);
  // How the move went that brought a job here. Errors: gone when that was another move, or the job is not here.
  Result<void> told_moved(const api::MovedReport& told);
  api::Whereabouts where(const api::WhereRequest& request);
  void told_where(const api::Whereabouts& word);
  Result<void> set_forwarding(const std::string& id, const std::string& mechanism);
  api::MessageCounts count_messages(uint32_t address);
  // The same, of all nodes that had to do with the job. Asks them.
  api::MessageCounts count_messages_everywhere(const api::Job& job);
  // Begins in the calling thread. Errors: unsupported where jobs have no network.
  Result<forwarding::PacketTrace> trace_packets(uint32_t address);
  // Why it failed here, if it did.
  std::string abandon(const std::string& migration);

  // For monitoring. From any thread.
  Figures figures();

  Result<api::NodesReply> nodes();
  // May ask the directory.
  bool knows_node(const std::string& node);
  directory::Directory& directory() { return *directory_; }
  const Config& config() const { return config_; }
  Peers& peers() { return peers_; }

  // The number that what happens next here will have.
  uint64_t next_event();
  // What happened here, oldest first, from a number on; waits for news.
  std::vector<api::Event> events_since(uint64_t& number, std::chrono::milliseconds patience);
  bool may_see(const api::Event& event, const Caller& caller) const {
    return event.uid() == caller.uid || caller.uid == 0;
  }

 private:
  friend class Departure;
  friend class Arrival;
  struct Launching;

  Job* find(const std::string& id);
  Result<Job*> running(const std::string& id);
  worker::JobPlace place_for(const std::string& id);
  void change(Job& job, JobState to);
  void tell(const Job& job, std::string what, std::string detail = {});
  void refresh(Job& job);
  // Written in the background, in order.
  void save(const Job& job);

  // A job's life here.
  Result<std::unique_ptr<Job>> new_job(const api::RunRequest& request, const Caller& caller);
  Result<void> register_job(Job& job);
  // A virtual address of its own, unless this node has no network for jobs.
  Result<void> claim_address(Job& job);
  Job* find_by_address(forwarding::VirtualAddress address);
  // It could not be started: nothing of it stays.
  void forget_unstarted(const api::Job& record);
  void launched(const std::shared_ptr<Launching>& launching, const worker::WorkerEvent& event);
  void attach_init(const std::string& id);
  void read_init(const std::string& id);
  // A job whose godwit-init does not answer is connected again, or has ended.
  void check_alive(const std::string& id);
  // A job that is in the table as `starting`, frozen and held: it runs here from now on.
  void take_over(Job& job, const std::string& how);
  void console_ended(Job& job, uint32_t console, int status);
  void job_ended(Job& job, int status);
  void forget_departed(const std::string& id, const std::string& to);
  void clear_place(const worker::JobPlace& place);
  void expire_ended();

  // Jobs of an earlier daemon on this node.
  void recover_jobs();
  void recover(Job job);
  void settle_recovered_arrival(Job job);

  // Migrations.
  Result<api::PrepareRequest> begin_move(const std::string& id, const api::MoveRequest& request);
  void note_failed_arrival(const std::string& migration, std::string why);
  Result<void> admit(const api::PrepareRequest& request);

  // The cluster.
  api::Node self();
  void heartbeat();
  Result<uint32_t> claim_number();
  Result<void> enter_directory();
  Result<void> report_up(const api::Node& self);
  void watch_nodes();
  Result<void> learn_nodes();
  void reap();

  // What a frozen program may wait for. `answered` is called in the loop, not before this returns. Of a directory of
  // ours, which does not block, it is asked here and now: two threads less to wake.
  template <class Question, class Answered>
  void ask_directory(Question question, Answered answered) {
    auto ask = [this, question = std::move(question), answered = std::move(answered)] {
      loop_.post([answered, answer = question(*directory_)] { answered(answer); });
    };
    if (config_.directory_node.empty()) return ask();
    switchovers_.run(std::move(ask));
  }

  Config config_;
  EventLoop& loop_;
  Peers& peers_;
  std::unique_ptr<directory::Directory> directory_;
  KernelPrograms kernel_programs_;
  Background background_{4};  // what may take long: clearing away, asking other nodes
  Background switchovers_{2, Background::For::frozen_programs};
  Background disk_{1};  // records of jobs, in order
  Background heart_{1};
  Background watcher_{1};
  std::atomic<bool> entered_ = false;  // in the directory as a node of the cluster
  std::atomic<uint32_t> number_ = 0;   // in virtual addresses; 0: not yet known
  uint64_t nodes_seen_ = 0;            // the watcher's
  std::map<std::string, std::unique_ptr<Job>> jobs_;
  std::map<std::string, std::unique_ptr<class Departure>> departures_;  // by job
  std::map<std::string, std::unique_ptr<class Arrival>> arrivals_;      // by migration
  std::deque<std::pair<std::string, std::string>> failed_arrivals_;     // migration, why; the newest few
  std::set<std::string> clearing_;                                      // jobs whose directories are being removed here
  uint64_t next_job_ = 1;
  std::string cgroup_root_;
  MoveTally moves_;
  MessageRoutes messages_;
  Publications publications_;
  Mirrors mirrors_;

  std::mutex events_mutex_;
  std::condition_variable events_changed_;
  std::deque<api::Event> events_;  // under events_mutex_
  uint64_t first_event_ = 0;       // under events_mutex_

 public:
  ~Daemon();
};

// Who a user is: the password and group databases. `user`: a name or a number; empty: `uid`.
struct UserInfo {
  uint32_t uid = 0, gid = 0;
  std::string name, home;
  std::vector<uint32_t> groups;
};
Result<UserInfo> find_user(const std::string& user, uint32_t uid);

}  // namespace godwit::node
