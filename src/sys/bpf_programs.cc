#include "sys/bpf_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "sys/descriptors.h"
#include "sys/errno.h"

namespace godwit::sys {

namespace {

constexpr size_t kChunkBytes = 32768;  // what the kernel buffers for one read (kernel/bpf/bpf_iter.c)
constexpr size_t kMostBytes = size_t{256} << 20;

Error failed(int negative_errno, const char* call, std::string context) {
  return Error{kind_of(-negative_errno), -negative_errno, call, std::move(context)};
}

int be_silent(libbpf_print_level, const char*, va_list) { return 0; }

}  // namespace

Result<BpfPrograms> BpfPrograms::load(std::span<const std::byte> object) {
  libbpf_set_print(be_silent);
  BpfPrograms iterators;
  std::unique_ptr<bpf_object, void (*)(bpf_object*)> opened(bpf_object__open_mem(object.data(), object.size(), nullptr),
                                                            bpf_object__close);
  if (!opened) return last_error("bpf_object__open_mem", "reading our BPF programs");
  if (int result = bpf_object__load(opened.get()); result < 0) {
    return failed(result, "bpf", "loading our BPF programs");
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, opened.get()) {
    UniqueFd own = TRY(duplicate_above(bpf_program__fd(program), 0));
    iterators.programs_.emplace(bpf_program__name(program), std::move(own));
  }
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, opened.get()) {
    UniqueFd own = TRY(duplicate_above(bpf_map__fd(map), 0));
    iterators.maps_.emplace(bpf_map__name(map), std::move(own));
  }
  return iterators;
}

Result<BpfPrograms> BpfPrograms::open(const Ids& ids) {
  BpfPrograms iterators;
  for (auto& [name, id] : ids) {
    int fd = bpf_prog_get_fd_by_id(id);
    if (fd == -ENOENT) return error(ErrorKind::gone, "BPF program " + name);
    if (fd < 0) return failed(fd, "bpf(PROG_GET_FD_BY_ID)", name);
    iterators.programs_.emplace(name, UniqueFd(fd));
  }
  return iterators;
}

Result<BpfPrograms::Ids> BpfPrograms::ids() const {
  Ids ids;
  for (auto& [name, fd] : programs_) {
    bpf_prog_info info{};
    __u32 size = sizeof info;
    if (int result = bpf_obj_get_info_by_fd(fd.get(), &info, &size); result < 0) {
      return failed(result, "bpf(OBJ_GET_INFO_BY_FD)", name);
    }
    ids.emplace(name, info.id);
  }
  return ids;
}

Result<int> BpfPrograms::program(const std::string& name) const {
  auto found = programs_.find(name);
  if (found == programs_.end()) return error(ErrorKind::bug, "no BPF program " + name);
  return found->second.get();
}

Result<int> BpfPrograms::map(const std::string& name) const {
  auto found = maps_.find(name);
  if (found == maps_.end()) return error(ErrorKind::bug, "no BPF map " + name);
  return found->second.get();
}

Result<std::vector<std::byte>> BpfPrograms::run(const std::string& program, Over over, pid_t which) const {
  int program_fd = TRY(this->program(program));
  bpf_iter_link_info info{};
  if (over == Over::process) info.task.pid = static_cast<__u32>(which);
  if (over == Over::thread) info.task.tid = static_cast<__u32>(which);
  LIBBPF_OPTS(bpf_link_create_opts, options);
  options.iter_info = &info;
  options.iter_info_len = sizeof info;
  int link = bpf_link_create(program_fd, 0, BPF_TRACE_ITER, &options);
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

}  // namespace godwit::sys
