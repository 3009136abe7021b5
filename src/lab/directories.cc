#include "lab/directories.h"

#include <filesystem>

namespace godwit::lab {
namespace {

namespace fs = std::filesystem;

Result<void> result_of(const std::error_code& code, const std::string& path) {
  if (code) return error(ErrorKind::failed, path + ": " + code.message());
  return {};
}

}  // namespace

Result<void> make_directories(const std::string& path) {
  std::error_code code;
  fs::create_directories(path, code);
  return result_of(code, path);
}

Result<void> make_directory(const std::string& path, unsigned mode) {
  TRY(make_directories(path));
  std::error_code code;
  fs::permissions(path, static_cast<fs::perms>(mode), code);
  return result_of(code, path);
}

Result<void> remove_tree(const std::string& path) {
  std::error_code code;
  fs::remove_all(path, code);
  return result_of(code, path);
}

Result<void> copy_tree(const std::string& from, const std::string& to) {
  std::error_code code;
  fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::overwrite_existing, code);
  return result_of(code, from + " to " + to);
}

}  // namespace godwit::lab
