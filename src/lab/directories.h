// Directories made and removed whole, with Results.
#pragma once

#include <string>

#include "base/result.h"

namespace godwit::lab {

// Makes a directory and those above it; one that is there already is left as it is.
Result<void> make_directories(const std::string& path);
// The same, and its permission bits become `mode`.
Result<void> make_directory(const std::string& path, unsigned mode);
// Removes a directory and all that is in it, or nothing when it is not there.
Result<void> remove_tree(const std::string& path);
Result<void> copy_tree(const std::string& from, const std::string& to);

}  // namespace godwit::lab
