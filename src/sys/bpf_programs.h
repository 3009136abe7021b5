// BPF programs that the kernel was given, and their maps. Those that are iterators are run over its threads, or over
// what they have open, and what they write is read like a file; others are attached by whoever knows where.
// Loading needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN) and a kernel with BTF, and takes milliseconds; running does
// not. Owns the loaded programs; nothing stays attached between runs. One process may load them and others, which it
// tells their ids, run them. Source: bpf(2), Linux kernel/bpf/task_iter.c.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

class BpfPrograms {
 public:
  // `object`: an ELF file as clang -target bpf writes it. ErrorKind::unsupported or denied when this kernel does not
  // take it.
  static Result<BpfPrograms> load(std::span<const std::byte> object);
  // Programs that another process has loaded and holds. ErrorKind::gone when it does no longer.
  using Ids = std::map<std::string, uint32_t>;
  static Result<BpfPrograms> open(const Ids& ids);
  Result<Ids> ids() const;
  // Runs one program over the threads of one process (a pid as we see it), over the one thread `tid`, or over all that
  // our pid namespace shows. Returns what it wrote.
  enum class Over { everything, process, thread };
  Result<std::vector<std::byte>> run(const std::string& program, Over over, pid_t which = 0) const;
  // Descriptors of what else was loaded, for as long as this lives.
  Result<int> program(const std::string& name) const;
  Result<int> map(const std::string& name) const;

 private:
  std::map<std::string, UniqueFd> programs_, maps_;
};

}  // namespace godwit::sys
