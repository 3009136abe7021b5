#include "sys/network_visit.h"

#include <sched.h>

#include "sys/namespaces.h"
#include "sys/socket_state.h"

namespace godwit::sys {

Result<void> in_network_of(int pidfd, const std::function<Result<void>()>& work) {
  UniqueFd home = TRY(open_namespace(0, "net"));
  TRY(join_namespaces(pidfd, CLONE_NEWNET));
  auto outcome = work();
  auto back = join_namespaces(home.get(), CLONE_NEWNET);
  CHECK(back.has_value());  // in the wrong namespace nothing we do would be right
  return outcome;
}

Result<void> in_new_network(const std::function<Result<void>()>& work) {
  UniqueFd home = TRY(open_namespace(0, "net"));
  TRY(unshare_namespaces(CLONE_NEWNET));
  auto outcome = work();
  auto back = join_namespaces(home.get(), CLONE_NEWNET);
  CHECK(back.has_value());
  return outcome;
}

Result<UniqueFd> socket_in_network_of(int pidfd, int family, int type, int protocol) {
  UniqueFd made;
  TRY(in_network_of(pidfd, [&]() -> Result<void> {
    made = TRY(make_socket({family, type, protocol}));
    return {};
  }));
  return made;
}

}  // namespace godwit::sys
