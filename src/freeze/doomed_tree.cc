#include "freeze/doomed_tree.h"

#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <algorithm>

#include "sys/text_file.h"

namespace godwit::freeze {

namespace {

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24  // asm-generic/mman-common.h, since Linux 5.18
#endif

constexpr size_t kRangesAtOnce = 512;  // a batch has room for them

}  // namespace

Result<DoomedTree> DoomedTree::take(SeizedTree tree, const std::string& cgroup) {
  DoomedTree doomed;
  auto kill_with_us = [&](const SeizedProcess& process) -> Result<void> {
    for (const SeizedThread& thread : process.threads) {
      auto set = sys::ptrace_set_options(thread.host_tid, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
      if (!set && set.error().kind != ErrorKind::gone) return set;
    }
    return {};
  };
  Result<void> all;
  for (const SeizedProcess& process : tree.processes()) {
    if (process.threads.empty()) continue;
    doomed.threads_[process.listed.host_pid] = process.threads.front().host_tid;
    if (all) all = kill_with_us(process);
  }
  std::move(tree).commit();
  TRY(std::move(all));
  TRY(sys::write_text(cgroup + "/cgroup.freeze", "0"));
  return doomed;
}

Result<uint64_t> DoomedTree::give_back(pid_t host_pid, std::span<const sys::AddressRange> pages) {
  auto thread = threads_.find(host_pid);
  if (thread == threads_.end()) return error(ErrorKind::gone, "no process " + std::to_string(host_pid));
  auto calls = calls_.find(host_pid);
  if (calls == calls_.end()) {
    RemoteAddress vdso = TRY(find_vdso(host_pid));
    calls = calls_.emplace(host_pid, TRY(RemoteCalls::open(thread->second, vdso))).first;
  }
  uint64_t freed = 0;
  while (!pages.empty()) {
    auto part = pages.first(std::min(pages.size(), kRangesAtOnce));
    pages = pages.subspan(part.size());
    CallBatch batch = calls->second.batch();
    for (const sys::AddressRange& range : part) {
      batch.add(SYS_madvise, {range.start, range.size(), MADV_DONTNEED_LOCKED});
    }
    TRY(calls->second.run(batch));
    for (size_t i = 0; i < part.size(); ++i) freed += batch.result(i) == 0 ? part[i].size() : 0;
  }
  return freed;
}

}  // namespace godwit::freeze
