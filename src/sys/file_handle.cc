#include "sys/file_handle.h"

#include <fcntl.h>

#include <algorithm>

#include "sys/errno.h"

namespace godwit::sys {

Result<UniqueFd> open_by_handle(int mount, int32_t type, const std::string& handle) {
  alignas(file_handle) char space[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
  if (handle.size() > MAX_HANDLE_SZ) return error(ErrorKind::corrupt, "a file handle that is too long");
  auto* wanted = reinterpret_cast<file_handle*>(space);
  wanted->handle_bytes = static_cast<unsigned>(handle.size());
  wanted->handle_type = type;
  std::ranges::copy(handle, space + sizeof(file_handle));
  UniqueFd fd(::open_by_handle_at(mount, wanted, O_PATH | O_CLOEXEC));
  if (!fd.valid()) return last_error("open_by_handle_at");
  return fd;
}

}  // namespace godwit::sys
