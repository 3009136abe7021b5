#include "sys/errno.h"

namespace godwit::sys {

ErrorKind kind_of(int errno_value) {
  switch (errno_value) {
    case ESRCH:
    case ENOENT:
    case ECHILD: return ErrorKind::gone;
    case EINTR:
    case EAGAIN:
    case EBUSY: return ErrorKind::retry;
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
    case ENOTCONN:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH: return ErrorKind::peer_lost;
    case ENOSYS:
    case EOPNOTSUPP:
    case ENOTTY:
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT: return ErrorKind::unsupported;
    case EPERM:
    case EACCES:
    case EROFS: return ErrorKind::denied;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case EDQUOT:
    case ENOBUFS: return ErrorKind::exhausted;
    case EEXIST: return ErrorKind::conflict;
    default: return ErrorKind::failed;
  }
}

}  // namespace godwit::sys
