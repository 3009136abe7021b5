#include "objects/pending_connect.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include <cstring>

#include "sys/tcp_repair.h"

namespace godwit::objects {
namespace {

class PendingConnectTest : public testing::Test {
 protected:
  // What a thread's rax is afterwards that was stopped in `call` on descriptor 5, of a connection in `state`.
  static int64_t after(uint64_t call, int64_t result, sys::TcpState state) {
    image::LogicalHost host;
    image::Description& description = *host.add_descriptions();
    description.set_id(1);
    description.mutable_tcp_socket()->set_state(static_cast<uint32_t>(state));
    image::Process& process = *host.add_processes();
    image::Descriptor& descriptor = *process.add_descriptors();
    descriptor.set_number(5);
    descriptor.set_description(1);
    user_regs_struct registers{};
    registers.orig_rax = call;
    registers.rax = static_cast<uint64_t>(result);
    registers.rdi = 5;
    process.add_threads()->set_general_registers(&registers, sizeof registers);
    complete_connects(host);
    std::memcpy(&registers, process.threads(0).general_registers().data(), sizeof registers);
    return static_cast<int64_t>(registers.rax);
  }
};

TEST_F(PendingConnectTest, SucceedsWhenTheConnectionStands) {
  EXPECT_EQ(after(SYS_connect, -512, sys::TcpState::established), 0);
  EXPECT_EQ(after(SYS_connect, -512, sys::TcpState::close_wait), 0);
}

TEST_F(PendingConnectTest, IsRepeatedOtherwise) {
  EXPECT_EQ(after(SYS_connect, -512, sys::TcpState::syn_sent), -512);
  EXPECT_EQ(after(SYS_read, -512, sys::TcpState::established), -512);
  EXPECT_EQ(after(SYS_connect, -4, sys::TcpState::established), -4);
}

}  // namespace
}  // namespace godwit::objects
