#include "sys/socket_filter.h"

#include <linux/bpf.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vector>

#include "sys/errno.h"
#include "sys/socket_options.h"

namespace godwit::sys {

Result<std::string> read_filter(int fd) {
  socklen_t count = 0;  // instructions, not bytes
  if (::getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, nullptr, &count) != 0) {
    Error failed = last_error("getsockopt(SO_GET_FILTER)");
    if (failed.errno_value == EACCES) failed.kind = ErrorKind::unsupported;
    return failed;
  }
  std::string instructions(count * sizeof(sock_filter), '\0');
  if (count == 0) return instructions;
  if (::getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, instructions.data(), &count) != 0) {
    return last_error("getsockopt(SO_GET_FILTER)");
  }
  instructions.resize(count * sizeof(sock_filter));
  return instructions;
}

Result<void> set_filter(int fd, const std::string& instructions) {
  size_t count = instructions.size() / sizeof(sock_filter);
  if (instructions.size() % sizeof(sock_filter) != 0 || count > BPF_MAXINSNS) {
    return error(ErrorKind::corrupt, "an impossible socket filter");
  }
  if (count == 0) return {};
  std::vector<sock_filter> copy(count);
  std::copy(instructions.begin(), instructions.end(), reinterpret_cast<char*>(copy.data()));
  sock_fprog program{static_cast<unsigned short>(count), copy.data()};
  return checked_void(::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program),
                      "setsockopt(SO_ATTACH_FILTER)");
}

Result<void> let_nothing_in(int fd) {
  const sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
  return set_filter(fd, std::string(reinterpret_cast<const char*>(&drop), sizeof drop));
}

Result<bool> filter_is_locked(int fd) { return TRY(read_option(fd, SOL_SOCKET, SO_LOCK_FILTER)) != 0; }

Result<void> lock_filter(int fd) { return set_option(fd, SOL_SOCKET, SO_LOCK_FILTER, 1); }

Result<DropFilter> DropFilter::load() {
  const bpf_insn instructions[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
                                   {.code = BPF_JMP | BPF_EXIT}};
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insns = reinterpret_cast<uint64_t>(instructions);
  attributes.insn_cnt = std::size(instructions);
  attributes.license = reinterpret_cast<uint64_t>("");
  UniqueFd program(static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes)));
  if (!program.valid()) return last_error("bpf(PROG_LOAD)");
  return DropFilter(std::move(program));
}

Result<void> DropFilter::attach(int fd) const {
  int program = program_.get();
  return checked_void(::setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program),
                      "setsockopt(SO_ATTACH_BPF)");
}

Result<void> remove_filter(int fd) {
  int unused = 0;
  if (::setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) == 0 || errno == ENOENT) return {};
  return last_error("setsockopt(SO_DETACH_FILTER)");
}

}  // namespace godwit::sys
