// PageServer: post-copy at the source. The program runs at the destination; its former self here stands still and gives
// its pages away: those that are asked for at once, with as many that follow as the destination wants, the others
// pushed in the order that requests suggest. What the destination says is in place there need not be kept here.
//
// One thread of its own answers requests; the owner's thread pushes. Requires: the processes do not run and stay until
// the end. Neither writes to the program. Used once.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "address_space/page_stream.h"
#include "address_space/range_set.h"
#include "base/result.h"
#include "sys/own_thread.h"
#include "transport/connection.h"

namespace godwit::address_space {

class PageServer {
 public:
  static Result<std::unique_ptr<PageServer>> create(transport::Connection requests);
  ~PageServer();

  // Before start().
  void owe(pid_t host_pid, pid_t pid, RangeSet pages);
  bool owes_nothing() const { return owing_.empty(); }  // before start()
  using Owed = std::function<void(pid_t host_pid, pid_t pid, const RangeSet& pages)>;
  void for_each_owed(const Owed& work) const;  // before start()
  // Before start(), and for all that is pushed: pages are not read from the processes, which need not be there.
  void read_by(const PageSender::Read& read);
  void start();
  // What is in place at the destination is given to `give_back`, by the owner's thread while it pushes; nothing of it
  // is read afterwards.
  using GiveBack = std::function<void(pid_t host_pid, std::span<const sys::AddressRange> pages)>;
  void give_back_by(GiveBack give_back) { give_back_ = std::move(give_back); }
  // Sends everything that is still owed over `bulk`, and by `streams` where there are any. Returns when it is sent.
  // `tell`: after each chunk, bytes left.
  Result<void> push(transport::Connection& bulk, SendingStreams* streams,
                    const std::function<void(uint64_t left)>& tell);
  // No more requests are answered.
  void stop();
  // After stop(): goes on by another connection with what the destination says it lacks, of what it was owed.
  Result<void> resume(transport::Connection requests, std::map<pid_t, RangeSet> lacking);
  // Instead of start(): begins with what the destination says it lacks, of what it is owed.
  void start_lacking(std::map<pid_t, RangeSet> lacking);
  // At any time, from the owner's thread.
  uint64_t requests() const { return answered_; }
  uint64_t pages_on_request() const { return on_request_; }
  uint64_t pages_on_request_again() const { return on_request_again_; }  // of them, those that had been pushed
  uint64_t pages_pushed() const { return pushed_; }
  // After stop(): both ways together.
  PageCounts counts() const;

 private:
  struct Owing {
    pid_t host_pid;
    RangeSet pages;      // not sent yet
    RangeSet all;        // that were left behind and are still here; complete when `noted`
    RangeSet arrived;    // of those, what the destination has: to be given back
    bool noted = false;  // when pushing begins: no thread waits for it
    uint64_t next = 0;   // where pushing goes on
  };
  explicit PageServer(transport::Connection requests) : requests_(std::move(requests)) {}
  Result<void> make_thread();
  void note_all();
  void serve();
  Result<void> serve_until_closed();
  Result<void> answer(const transport::Frame& frame);
  Result<void> send_now(const PageOrigin& origin, std::span<const sys::AddressRange> ranges);
  void note_arrived(pid_t pid, std::span<const sys::AddressRange> ranges);
  void give_back();
  Result<void> push_by(PageSender& sender, transport::Connection& bulk, const std::function<void(uint64_t left)>& tell);
  std::optional<sys::AddressRange> take_next(Owing& owing);

  transport::Connection requests_;
  PageSender replies_{requests_};
  sys::ReadyThread thread_;
  std::mutex mutex_;  // of owing_
  std::map<pid_t, Owing> owing_;
  std::atomic<uint64_t> answered_ = 0;
  std::atomic<uint64_t> on_request_ = 0;
  std::atomic<uint64_t> on_request_again_ = 0;
  uint64_t pushed_ = 0;
  GiveBack give_back_;
  PageSender::Read read_;
  PageCounts pushed_counts_;
};

}  // namespace godwit::address_space
