#include "node/page_caches.h"

#include "address_space/page_cache.h"
#include "godwit/api.pb.h"
#include "node/switchover.h"
#include "sys/file.h"

namespace godwit::node {

void remove_useless_page_caches(directory::Directory& directory, const std::string& state_directory) {
  std::string caches = state_directory + "/page-cache";
  for (const std::string& job : address_space::expire_page_caches(caches)) {
    auto entry = directory.get(job_key(job));
    if (!entry) continue;  // it cannot be asked now
    api::Job record;
    bool lives = *entry && record.ParseFromString((*entry)->value) && record.state() != api::ENDED;
    if (!lives) (void)sys::remove_path(caches + "/" + job);
  }
}

}  // namespace godwit::node
