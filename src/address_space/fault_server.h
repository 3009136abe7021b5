// FaultServer: post-copy at the destination. The program runs; pages it touches that are still at the source are asked
// for on a connection of their own and put in place, others arrive as the source pushes them. What is in place the
// source is told of, a few MiB at a time, so that it need not keep it.
//
// Pages are fetched ahead of the program as ReadAhead says. Its markers are held back here until the program comes to
// them, a few for each process; at the end, and when the connection is lost, they are pages like all others.
//
// One thread of its own answers faults and follows what the program does to its memory (fork, mremap, munmap, madvise);
// the owner's thread puts in place what is pushed. Both work under one lock, which is held while an event is read, so
// that no page is put where memory has just been given up. When the source is lost the threads that wait for a page
// wait on, until the owner has another connection, or ends them. Should this process die, sys/survivor.h holds them.
// Source: Linux Documentation/admin-guide/mm/userfaultfd.rst, "Non-cooperative userfaultfd".
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "address_space/owed_pages.h"
#include "address_space/page_stream.h"
#include "address_space/read_ahead.h"
#include "base/result.h"
#include "sys/own_thread.h"
#include "sys/pagemap_scan.h"
#include "sys/userfaultfd.h"
#include "sys/wake_up.h"
#include "transport/connection.h"

namespace godwit::address_space {

class FaultServer {
 public:
  struct Counts {
    uint64_t faults = 0;  // that needed an answer
    uint64_t asked = 0;   // of them, those that had to cross the network
    uint64_t forks = 0;
    uint64_t ahead = 0;       // pages that were fetched ahead
    uint64_t ahead_used = 0;  // of them, those that the program was seen to use
  };

  // `requests`: used by the server's thread alone from start() on.
  static Result<std::unique_ptr<FaultServer>> create(transport::Connection requests);
  ~FaultServer();

  // Before start(): what process `pid` is owed, by the mappings' ranges that are to be watched. Guard pages that the
  // program makes where a page is owed are seen in `pages`, its page map; not those that it has removed again.
  Result<void> watch(pid_t pid, sys::Userfaultfd faults, sys::PageMap pages,
                     std::span<const sys::AddressRange> mappings, OwedPages owed);
  void start();
  // Puts pages that were pushed in place: the ranges' bytes one after the other.
  Result<void> put(pid_t pid, std::span<const sys::AddressRange> ranges, std::span<const std::byte> bytes);
  // The connection is lost: nobody is asked any more.
  void pause();
  // What is still owed, by process; addresses at the source. Requires: paused.
  std::map<pid_t, RangeSet> owed();
  // Goes on by another connection and asks again for what is waited for. Requires: paused.
  Result<void> resume(transport::Connection requests);
  // The source has sent everything: waits for the last of it, then stops watching.
  Result<void> finish();
  // Why the thread ended by itself, if it did.
  std::optional<Error> failure();
  Counts counts();

 private:
  struct Arriving {
    pid_t pid;  // whose pages these are, at the source
    sys::Userfaultfd faults;
    std::optional<sys::PageMap> pages;  // but of a forked process
    OwedPages owed;
    bool gone = false;
  };

  struct Request {
    pid_t pid;
    sys::AddressRange pages;
  };
  using PageOfProcess = std::pair<pid_t, uint64_t>;  // at the source
  struct Waiting {                                   // work found under the lock, to be done without it
    std::vector<Request> requests;
    std::vector<std::pair<PageOfProcess, std::vector<std::byte>>> pages;
    bool empty() const { return requests.empty() && pages.empty(); }
  };

  FaultServer(transport::Connection requests, sys::WakeUp stop, sys::WakeUp tell);
  bool owes_nothing();
  Result<void> make_thread();
  void serve();
  Result<void> serve_until_stopped();
  Result<Waiting> look_at_program();
  Result<void> take_events(Arriving& process);
  Result<void> answer(Arriving& process, uint64_t address);
  Result<void> take_pages();
  Result<void> take_answer(pid_t pid, std::span<const sys::AddressRange> ranges, std::span<const std::byte> bytes);
  void time_request(const Request& request);
  void time_answer(pid_t pid, std::span<const sys::AddressRange> ranges);
  bool hold_back(PageOfProcess page, std::span<const std::byte> bytes);
  bool let_go_of(PageOfProcess page);
  void let_go_of_unneeded();
  Result<void> put_held_back();
  Result<void> do_waiting(Waiting& waiting);
  void note_in_place(pid_t pid, std::span<const sys::AddressRange> ranges);
  Result<void> tell_in_place();
  void follow(Arriving& process, sys::Userfaultfd::Event& event);
  static std::vector<sys::AddressRange> to_fill(const Arriving& process, sys::AddressRange range);
  Result<bool> put_in(Arriving& process, sys::AddressRange at_source, std::span<const std::byte> bytes);
  Result<void> ask(const Request& request);

  transport::Connection requests_;
  PageReceiver replies_;
  sys::WakeUp stop_;
  sys::WakeUp tell_;  // enough is in place
  sys::ReadyThread thread_;
  std::mutex mutex_;  // of all below
  std::list<Arriving> processes_;
  // A request that the program waits for, as its answer comes: for ReadAhead.
  struct Timed {
    Request request{};
    std::chrono::steady_clock::time_point asked{};
    std::optional<std::chrono::steady_clock::time_point> first{};  // when its first page came
  };
  std::optional<Timed> timed_;  // of the server's thread
  Waiting waiting_;
  std::map<pid_t, RangeSet> asked_;  // because the program waits
  std::map<pid_t, ReadAhead> read_ahead_;
  std::map<PageOfProcess, std::vector<std::byte>> held_back_;
  bool holds_back_ = true;              // until the end
  std::map<pid_t, RangeSet> in_place_;  // that the source does not know of
  uint64_t in_place_bytes_ = 0;
  std::optional<Error> failure_;
  Counts counts_;
};

}  // namespace godwit::address_space
