// How `godwit trace` shows packets: a line each, TCP's numbers counted from the first that was seen of a stream.
#pragma once

#include <map>
#include <string>
#include <tuple>

#include "godwit/api.pb.h"

namespace godwit::cli {

class PacketView {
 public:
  static std::string title();
  std::string line(const api::TracedPacket& packet);

 private:
  using Stream = std::tuple<std::string, uint32_t, std::string, uint32_t>;  // from, port, to, port
  uint32_t counted(const Stream& stream, uint32_t number);
  std::map<Stream, uint32_t> first_;
};

std::string packet_json(const api::TracedPacket& packet);

}  // namespace godwit::cli
