#include "objects/resource_limits.h"

#include <algorithm>

#include "proc/limits.h"
#include "sys/prlimit.h"
#include "sys/text_file.h"

namespace godwit::objects {

namespace {

Result<std::vector<proc::Limit>> limits_of(pid_t host_pid) {
  return proc::parse_limits(TRY(sys::read_text("/proc/" + std::to_string(host_pid) + "/limits")));
}

}  // namespace

Result<void> capture_limits(pid_t host_pid, image::Process& process) {
  for (const proc::Limit& limit : TRY(limits_of(host_pid))) {
    image::ResourceLimit* image = process.add_limits();
    image->set_resource(limit.resource);
    image->set_soft(limit.soft);
    image->set_hard(limit.hard);
  }
  return {};
}

Result<void> restore_limits(pid_t host_pid, const image::Process& process, const image::Process& present,
                            const Owner& owner) {
  for (const image::ResourceLimit& image : process.limits()) {
    auto same = [&](const image::ResourceLimit& each) { return each.resource() == image.resource(); };
    auto found = std::ranges::find_if(present.limits(), same);
    if (found == present.limits().end()) return error(ErrorKind::corrupt, "number of a resource");
    const image::ResourceLimit& now = *found;
    sys::LimitPair wanted{image.soft(), image.hard()};
    auto clamp = [&] {
      wanted.hard = std::min(wanted.hard, now.hard());
      wanted.soft = std::min(wanted.soft, wanted.hard);
    };
    if (owner.uid != 0) clamp();
    if (wanted.soft == now.soft() && wanted.hard == now.hard()) continue;
    auto set = sys::set_limit(host_pid, image.resource(), wanted);
    if (!set && set.error().kind == ErrorKind::denied && wanted.hard > now.hard()) {
      clamp();
      set = sys::set_limit(host_pid, image.resource(), wanted);
    }
    TRY(std::move(set));
  }
  return {};
}

}  // namespace godwit::objects
