#include "sys/bpf_iterator.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/unique_fd.h"
#include "sys/errno.h"
#include "sys/text_file.h"

namespace godwit::sys {

namespace {

constexpr size_t kChunkBytes = 32768;  // what the kernel buffers for one read (kernel/bpf/bpf_iter.c)
constexpr size_t kMostBytes = size_t{256} << 20;

Error failed(int negative_errno, const char* call, std::string context) {
  return Error{kind_of(-negative_errno), -negative_errno, call, std::move(context)};
}

int be_silent(libbpf_print_level, const char*, va_list) { return 0; }

}  // namespace

void BpfIterators::Close::operator()(bpf_object* object) const { bpf_object__close(object); }

Result<BpfIterators> BpfIterators::load(std::span<const std::byte> object) {
  libbpf_set_print(be_silent);
  BpfIterators iterators;
  bpf_object* opened = bpf_object__open_mem(object.data(), object.size(), nullptr);
  if (opened == nullptr) return last_error("bpf_object__open_mem", "reading our BPF programs");
  iterators.object_.reset(opened);
  if (int result = bpf_object__load(opened); result < 0) return failed(result, "bpf", "loading our BPF programs");
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, opened) {
    iterators.programs_.emplace(bpf_program__name(program), bpf_program__fd(program));
  }
  return iterators;
}

Result<std::vector<std::byte>> BpfIterators::run(const std::string& program, Over over, pid_t which) const {
  auto found = programs_.find(program);
  if (found == programs_.end()) return error(ErrorKind::bug, "no BPF program " + program);
  bpf_iter_link_info info{};
  if (over == Over::process) info.task.pid = static_cast<__u32>(which);
  if (over == Over::thread) info.task.tid = static_cast<__u32>(which);
  LIBBPF_OPTS(bpf_link_create_opts, options);
  options.iter_info = &info;
  options.iter_info_len = sizeof info;
  int link = bpf_link_create(found->second, 0, BPF_TRACE_ITER, &options);
  if (link < 0) return failed(link, "bpf(LINK_CREATE)", program);
  UniqueFd link_fd(link);
  int iterator = bpf_iter_create(link);
  if (iterator < 0) return failed(iterator, "bpf(ITER_CREATE)", program);
  UniqueFd iterator_fd(iterator);

  std::vector<std::byte> bytes;
  while (bytes.size() < kMostBytes) {
    size_t used = bytes.size();
    bytes.resize(used + kChunkBytes);
    ssize_t got = ::read(iterator, bytes.data() + used, kChunkBytes);
    if (got < 0 && errno != EINTR && errno != EAGAIN) return last_error("read", "BPF iterator " + program);
    bytes.resize(used + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return bytes;
  }
  return error(ErrorKind::exhausted, "BPF iterator " + program + " writes without end");
}

Result<std::unordered_map<std::string, uint64_t>> kernel_addresses(std::span<const std::string> names) {
  std::string text = TRY(read_text("/proc/kallsyms"));
  std::unordered_map<std::string, uint64_t> addresses;
  for (const std::string& name : names) {
    std::string line_end = " " + name + "\n";
    for (size_t at = text.find(line_end); at != std::string::npos; at = text.find(line_end, at + 1)) {
      size_t line = text.rfind('\n', at);
      line = line == std::string::npos ? 0 : line + 1;
      uint64_t address = 0;
      auto [rest, bad] = std::from_chars(text.data() + line, text.data() + at, address, 16);
      if (bad == std::errc() && address != 0) addresses.emplace(name, address);
    }
  }
  return addresses;
}

}  // namespace godwit::sys
