#include "objects/pending_connect.h"

#include <sys/syscall.h>
#include <sys/user.h>

#include <cstring>
#include <map>

#include "objects/tcp_rest.h"

namespace godwit::objects {

namespace {

constexpr int64_t kRestart = -512;  // ERESTARTSYS, include/linux/errno.h

bool is_interrupted_connect(const user_regs_struct& registers) {
  return static_cast<int64_t>(registers.orig_rax) == SYS_connect && static_cast<int64_t>(registers.rax) == kRestart;
}

}  // namespace

void complete_connects(image::LogicalHost& host) {
  std::map<uint32_t, const image::TcpSocket*> connected;
  for (const image::Description& description : host.descriptions()) {
    bool stands = is_connected(static_cast<sys::TcpState>(description.tcp_socket().state()));
    if (description.has_tcp_socket() && stands) connected[description.id()] = &description.tcp_socket();
  }
  if (connected.empty()) return;
  for (image::Process& process : *host.mutable_processes()) {
    for (image::Thread& thread : *process.mutable_threads()) {
      user_regs_struct registers;
      if (thread.general_registers().size() != sizeof registers) continue;
      std::memcpy(&registers, thread.general_registers().data(), sizeof registers);
      if (!is_interrupted_connect(registers)) continue;
      for (const image::Descriptor& descriptor : process.descriptors()) {
        bool is_it = descriptor.number() == static_cast<int>(registers.rdi);
        if (!is_it || !connected.contains(descriptor.description())) continue;
        registers.rax = 0;
        registers.orig_rax = ~uint64_t{0};
        thread.set_general_registers(&registers, sizeof registers);
        thread.clear_system_call();
      }
    }
  }
}

}  // namespace godwit::objects
