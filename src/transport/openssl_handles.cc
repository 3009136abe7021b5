#include "transport/openssl_handles.h"

namespace godwit::transport {

Error openssl_error(ErrorKind kind, std::string context) {
  unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  if (reason != nullptr) context += std::string(": ") + reason;
  return error(kind, std::move(context));
}

}  // namespace godwit::transport
