// One-time tokens with which a node joins the cluster.
//
// A token is 88 characters: 32 random bytes, the SHA-256 fingerprint of the cluster's authority, a 2-byte check against
// mistyping; base64 with the alphabet of RFC 4648 section 5. The fingerprint lets the joining node verify whom it talks
// to before it says anything. The cluster keeps only the hash of the random bytes, as a file named after it that holds
// the time of expiry; redeeming removes that file, so that only one of two at the same time succeeds.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace godwit::transport {

using WallTime = std::chrono::system_clock::time_point;

struct JoinToken {
  std::string secret;                 // 32 bytes
  std::string authority_fingerprint;  // 32 bytes
};

// Errors: corrupt when the text is no token or was mistyped.
Result<JoinToken> parse_join_token(std::string_view text);

// Makes a token for the authority with this fingerprint and remembers it in `directory` (made, mode 0700) until
// `expiry`. Removes expired ones from there.
Result<std::string> create_join_token(const std::string& directory, std::string_view authority_fingerprint,
                                      WallTime now, WallTime expiry);

// Uses up a token. Errors: denied when it is unknown, used or expired; corrupt when it is none.
Result<void> redeem_join_token(const std::string& directory, std::string_view text, WallTime now);

}  // namespace godwit::transport
