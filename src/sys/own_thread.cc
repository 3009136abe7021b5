#include "sys/own_thread.h"

#include <sched.h>

#include <future>
#include <memory>

#include "sys/namespaces.h"

namespace godwit::sys {

Result<std::thread> start_own_thread(std::function<void()> body) {
  auto begun = std::make_shared<std::promise<Result<void>>>();
  auto outcome = begun->get_future();
  std::thread thread([begun, body = std::move(body)] {
    auto unshared = unshare_namespaces(CLONE_FS);
    bool ready = unshared.has_value();
    begun->set_value(std::move(unshared));
    if (ready) body();
  });
  auto ready = outcome.get();
  if (ready) return thread;
  thread.join();
  return std::unexpected(std::move(ready.error()));
}

}  // namespace godwit::sys
