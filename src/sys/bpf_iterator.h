// BPF task iterators: programs that the kernel runs over its threads, and whose output is read like a file.
// Loading needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN) and a kernel with BTF, and takes milliseconds; running does
// not. Owns the loaded programs; nothing stays attached between runs. Source: bpf(2), Linux kernel/bpf/task_iter.c.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"

struct bpf_object;

namespace godwit::sys {

class BpfIterators {
 public:
  // `object`: an ELF file as clang -target bpf writes it. ErrorKind::unsupported or denied when this kernel does not
  // take it.
  static Result<BpfIterators> load(std::span<const std::byte> object);
  // Runs one program over the threads of one process (a pid as we see it), over the one thread `tid`, or over all that
  // our pid namespace shows. Returns what it wrote.
  enum class Over { everything, process, thread };
  Result<std::vector<std::byte>> run(const std::string& program, Over over, pid_t which = 0) const;

 private:
  struct Close {
    void operator()(bpf_object* object) const;
  };
  std::unique_ptr<bpf_object, Close> object_;
  std::unordered_map<std::string, int> programs_;  // descriptors, owned by object_
};

// Addresses of kernel functions by name, from /proc/kallsyms; names that this kernel does not have, or does not show,
// are absent.
Result<std::unordered_map<std::string, uint64_t>> kernel_addresses(std::span<const std::string> names);

}  // namespace godwit::sys
