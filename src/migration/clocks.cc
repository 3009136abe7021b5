#include "migration/clocks.h"

#include <time.h>

#include <cstdio>
#include <string>

#include "sys/text_file.h"

namespace godwit::migration {

namespace {

constexpr int64_t kSecond = 1'000'000'000;

int64_t now(clockid_t clock) {
  timespec value{};
  ::clock_gettime(clock, &value);
  return value.tv_sec * kSecond + value.tv_nsec;
}

// "monotonic  -5  250000000\nboottime ..." of /proc/PID/timens_offsets.
Result<ClockOffsets> parse_offsets(const std::string& text) {
  if (text.empty()) return error(ErrorKind::gone, "the process has ended");
  ClockOffsets offsets;
  long long monotonic_s = 0, monotonic_ns = 0, boottime_s = 0, boottime_ns = 0;
  int found = std::sscanf(text.c_str(), "monotonic %lld %lld boottime %lld %lld", &monotonic_s, &monotonic_ns,
                          &boottime_s, &boottime_ns);
  if (found != 4) return error(ErrorKind::corrupt, "unexpected text in timens_offsets");
  offsets.monotonic_ns = monotonic_s * kSecond + monotonic_ns;
  offsets.boottime_ns = boottime_s * kSecond + boottime_ns;
  return offsets;
}

}  // namespace

Result<void> describe_clocks(pid_t init_host_pid, wire::Offer& offer) {
  std::string text = TRY(sys::read_text("/proc/" + std::to_string(init_host_pid) + "/timens_offsets"));
  ClockOffsets offsets = TRY(parse_offsets(text));
  offer.set_monotonic_offset_ns(offsets.monotonic_ns);
  offer.set_boottime_offset_ns(offsets.boottime_ns);
  offer.set_realtime_ns(now(CLOCK_REALTIME));
  offer.set_monotonic_ns(now(CLOCK_MONOTONIC) + offsets.monotonic_ns);
  offer.set_boottime_ns(now(CLOCK_BOOTTIME) + offsets.boottime_ns);
  return {};
}

ClockOffsets offsets_for(const wire::Offer& offer, const ClockOffsets& here, int64_t here_realtime_ns) {
  int64_t passed = here_realtime_ns - offer.realtime_ns();
  return {offer.monotonic_ns() + passed - here.monotonic_ns, offer.boottime_ns() + passed - here.boottime_ns};
}

Result<ClockOffsets> clock_offsets_here(const wire::Offer& offer) {
  std::string boot_id = TRY(sys::read_text("/proc/sys/kernel/random/boot_id"));
  if (boot_id == offer.boot_id()) return ClockOffsets{offer.monotonic_offset_ns(), offer.boottime_offset_ns()};
  ClockOffsets here{now(CLOCK_MONOTONIC), now(CLOCK_BOOTTIME)};
  return offsets_for(offer, here, now(CLOCK_REALTIME));
}

}  // namespace godwit::migration
