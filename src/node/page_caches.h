// What jobs left of their memory on this node (address_space/page_cache.h): of no use to anybody once they have ended.
#pragma once

#include <string>

#include "directory/directory.h"

namespace godwit::node {

// Removes what is too old, and that of jobs which the directory has no longer, or knows to have ended. Asks the
// directory for each of the others. Blocks.
void remove_useless_page_caches(directory::Directory& directory, const std::string& state_directory);

}  // namespace godwit::node
