#include "sys/nftables.h"

#include <nftables/libnftables.h>

namespace godwit::sys {

void Nftables::Close::operator()(nft_ctx* context) const { ::nft_ctx_free(context); }

Result<Nftables> Nftables::open() {
  Nftables nftables(::nft_ctx_new(NFT_CTX_DEFAULT));
  if (!nftables.context_) return error(ErrorKind::unsupported, "libnftables cannot be used");
  ::nft_ctx_buffer_output(nftables.context_.get());
  ::nft_ctx_buffer_error(nftables.context_.get());
  ::nft_ctx_output_set_flags(nftables.context_.get(), NFT_CTX_OUTPUT_NUMERIC_ALL);
  return nftables;
}

Result<std::string> Nftables::run(const std::string& commands) {
  int failed = ::nft_run_cmd_from_buffer(context_.get(), commands.c_str());
  std::string said = ::nft_ctx_get_output_buffer(context_.get());
  std::string complaint = ::nft_ctx_get_error_buffer(context_.get());
  if (failed != 0) return error(ErrorKind::unsupported, "nftables: " + complaint.substr(0, complaint.find('\n')));
  return said;
}

}  // namespace godwit::sys
