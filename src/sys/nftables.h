// The kernel's packet rules and counters, changed and read in nft(8)'s language: libnftables(3). Speaks of the network
// namespace it was opened in. One thread. A command takes about half a millisecond.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct nft_ctx;

namespace godwit::sys {

class Nftables {
 public:
  static Result<Nftables> open();
  // What the commands print. Errors: unsupported, with nft's own words.
  Result<std::string> run(const std::string& commands);

 private:
  struct Close {
    void operator()(nft_ctx* context) const;
  };
  explicit Nftables(nft_ctx* context) : context_(context) {}
  std::unique_ptr<nft_ctx, Close> context_;
};

}  // namespace godwit::sys
