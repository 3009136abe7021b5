// with_time_left(): the arithmetic of repeated calls, on memory that is a map.
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <vector>

#include "freeze/replant.h"
#include "freeze/system_call_restart.h"

namespace godwit::freeze {
namespace {

using Call = image::SystemCallInProgress;
using std::chrono::milliseconds;

class Memory {
 public:
  void set(uint64_t address, int64_t first, int64_t second) { words_[address] = {first, second}; }
  std::pair<int64_t, int64_t> at(uint64_t address) const { return words_.at(address); }
  bool has(uint64_t address) const { return words_.contains(address); }
  ProgramMemory interface() {
    return {[this](uint64_t address, std::span<std::byte> into) -> Result<void> {
              if (!words_.contains(address)) return error(ErrorKind::failed, "not mapped");
              std::memcpy(into.data(), &words_[address], into.size());
              return {};
            },
            [this](uint64_t address, std::span<const std::byte> bytes) -> Result<void> {
              int64_t words[2];
              std::memcpy(words, bytes.data(), sizeof words);
              words_[address] = {words[0], words[1]};
              return {};
            }};
  }

 private:
  std::map<uint64_t, std::pair<int64_t, int64_t>> words_;
};

Call call_of(Call::Treatment treatment, uint64_t number, int64_t waited_ns) {
  Call call;
  call.set_treatment(treatment);
  call.set_number(number);
  call.set_waited_ns(waited_ns);
  return call;
}

user_regs_struct registers_with(uint64_t rdx, uint64_t r10, uint64_t r8) {
  user_regs_struct registers{};
  registers.rsp = 0x7ffe'1238;
  registers.rdx = rdx;
  registers.r10 = r10;
  registers.r8 = r8;
  return registers;
}

TEST(TimeLeft, MillisecondsAreRoundedUpAndNeverNegative) {
  struct Row {
    int32_t timeout;
    int64_t waited_us, elapsed_ms;
    int32_t expected;
  };
  for (Row row : {Row{100, 30'000, 20, 50},
                  {100, 30'001, 20, 50},
                  {100, 29'999, 20, 51},
                  {100, 90'000, 20, 0},
                  {0, 5, 5, 0},
                  {-1, 90'000, 20, -1}}) {
    Memory memory;
    Call call = call_of(Call::REPEAT, SYS_epoll_wait, row.waited_us * 1000);
    auto after = with_time_left(registers_with(1, static_cast<uint32_t>(row.timeout), 3), call,
                                milliseconds(row.elapsed_ms), memory.interface());
    ASSERT_TRUE(after);
    EXPECT_EQ(static_cast<int32_t>(after->r10), row.expected) << row.timeout;
    EXPECT_EQ(static_cast<int64_t>(after->rax), kRestartNoHandler);
    EXPECT_EQ(after->orig_rax, static_cast<uint64_t>(SYS_epoll_wait));
    EXPECT_EQ(after->rdx, 1u);
  }
}

TEST(TimeLeft, AProgramsOwnTimespecIsNotTouched) {
  Memory memory;
  memory.set(0x5000, 2, 100'000'000);
  Call call = call_of(Call::REPEAT, SYS_rt_sigtimedwait, 500'000'000);
  auto after = with_time_left(registers_with(0x5000, 8, 0), call, milliseconds(700), memory.interface());
  ASSERT_TRUE(after);
  EXPECT_EQ(memory.at(0x5000), std::pair(int64_t{2}, int64_t{100'000'000}));
  EXPECT_NE(after->rdx, 0x5000u);
  EXPECT_LE(after->rdx + 16, after->rsp - 128);
  EXPECT_EQ(memory.at(after->rdx), std::pair(int64_t{0}, int64_t{900'000'000}));
}

TEST(TimeLeft, ForEverAndWrongPointersStayAsTheyAre) {
  Memory memory;
  Call call = call_of(Call::REPEAT, SYS_semtimedop, 500);
  EXPECT_EQ(with_time_left(registers_with(0, 0, 0), call, milliseconds(7), memory.interface())->r10, 0u);
  EXPECT_EQ(with_time_left(registers_with(0, 0x99, 0), call, milliseconds(7), memory.interface())->r10, 0x99u);
  memory.set(0x5000, 1, 5'000'000'000);  // the call answers EINVAL
  EXPECT_EQ(with_time_left(registers_with(0, 0x5000, 0), call, milliseconds(7), memory.interface())->r10, 0x5000u);
}

TEST(TimeLeft, WrittenBackTimesLoseTheFreezeInPlace) {
  Memory memory;
  memory.set(0x5000, 1, 250'000);  // struct timeval
  auto registers = registers_with(0, 0, 0x5000);
  registers.rax = static_cast<uint64_t>(kRestartNoHandler);
  registers.orig_rax = SYS_select;
  auto after = with_time_left(registers, call_of(Call::ADJUST, SYS_select, 0), milliseconds(500), memory.interface());
  ASSERT_TRUE(after);
  EXPECT_EQ(std::memcmp(&*after, &registers, sizeof registers), 0);
  EXPECT_EQ(memory.at(0x5000), std::pair(int64_t{0}, int64_t{750'000}));
}

TEST(TimeLeft, CallsWithoutATimeoutAreOnlyRepeated) {
  Memory memory;
  auto after =
      with_time_left(registers_with(1, 2, 3), call_of(Call::REPEAT, SYS_read, 9), milliseconds(5), memory.interface());
  ASSERT_TRUE(after);
  EXPECT_EQ(after->r10, 2u);
  EXPECT_EQ(static_cast<int64_t>(after->rax), kRestartNoHandler);
}

}  // namespace
}  // namespace godwit::freeze
