// FaultServer: post-copy at the destination. The program runs; pages it touches that are still at the source are asked
// for on a connection of their own and put in place, others arrive as the source pushes them.
//
// One thread of its own answers faults and follows what the program does to its memory (fork, mremap, munmap, madvise);
// the owner's thread puts in place what is pushed. Both work under one lock, which is held while an event is read, so
// that no page is put where memory has just been given up. When the source is lost the threads that wait for a page
// wait on, until the owner has another connection, or ends them. Source: Linux
// Documentation/admin-guide/mm/userfaultfd.rst, "Non-cooperative userfaultfd".
#pragma once

#include <sys/types.h>

#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>

#include "address_space/owed_pages.h"
#include "address_space/page_stream.h"
#include "base/result.h"
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
  };

  // `requests`: used by the server's thread alone from start() on.
  static Result<std::unique_ptr<FaultServer>> create(transport::Connection requests);
  ~FaultServer();

  // Before start(): what process `pid` is owed, by the mappings' ranges that are to be watched.
  Result<void> watch(pid_t pid, sys::Userfaultfd faults, std::span<const sys::AddressRange> mappings, OwedPages owed);
  Result<void> start();
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
  Counts counts() const;

 private:
  struct Arriving {
    pid_t pid;  // whose pages these are, at the source
    sys::Userfaultfd faults;
    OwedPages owed;
    bool gone = false;
  };

  FaultServer(transport::Connection requests, sys::WakeUp stop);
  bool owes_nothing();
  void serve();
  Result<void> serve_until_stopped();
  Result<void> take_events(Arriving& process);
  Result<void> answer(Arriving& process, uint64_t address);
  Result<void> take_pages();
  void follow(Arriving& process, sys::Userfaultfd::Event& event);
  Result<bool> put_in(Arriving& process, sys::AddressRange at_source, std::span<const std::byte> bytes);
  Result<void> ask(pid_t pid, uint64_t at_source);

  transport::Connection requests_;
  PageReceiver replies_;
  sys::WakeUp stop_;
  std::thread thread_;
  std::mutex mutex_;  // of all below
  std::list<Arriving> processes_;
  std::vector<std::pair<pid_t, uint64_t>> wanted_;  // to be asked for when the lock is free
  std::map<pid_t, RangeSet> asked_;
  std::optional<Error> failure_;
  Counts counts_;
};

}  // namespace godwit::address_space
