#include "forwarding/packet_headers.h"

#include <netinet/in.h>

#include <algorithm>

namespace godwit::forwarding {

namespace {

// Big-endian numbers; 0 beyond the end.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}
  uint8_t at(size_t index) const { return index < bytes_.size() ? static_cast<uint8_t>(bytes_[index]) : uint8_t{0}; }
  uint16_t two(size_t index) const { return static_cast<uint16_t>(at(index) << 8 | at(index + 1)); }
  uint32_t four(size_t index) const { return uint32_t{two(index)} << 16 | two(index + 2); }
  sys::IpAddress address(int family, size_t index) const {
    sys::IpAddress address{family, {}};
    for (size_t i = 0; i < address.length(); ++i) address.bytes[i] = at(index + i);
    return address;
  }

 private:
  std::string_view bytes_;
};

struct Content {
  size_t at;       // of the transport's header
  uint32_t bytes;  // with it
};

std::optional<Content> read_version4(const Bytes& bytes, size_t size, PacketHeaders& into) {
  size_t header = size_t{bytes.at(0) & 0xfu} * 4;
  bool first = (bytes.two(6) & 0x1fffu) == 0;
  if (header < 20 || size < header || bytes.two(2) < header || !first) return std::nullopt;
  into.protocol = bytes.at(9);
  into.from = bytes.address(AF_INET, 12);
  into.to = bytes.address(AF_INET, 16);
  return Content{header, static_cast<uint32_t>(bytes.two(2) - header)};
}

std::optional<Content> read_version6(const Bytes& bytes, size_t size, PacketHeaders& into) {
  constexpr size_t kHeader = 40;
  if (size < kHeader) return std::nullopt;
  into.protocol = bytes.at(6);
  into.from = bytes.address(AF_INET6, 8);
  into.to = bytes.address(AF_INET6, 24);
  return Content{kHeader, bytes.two(4)};
}

bool read_tcp(const Bytes& bytes, size_t at, PacketHeaders& into) {
  size_t header = size_t{bytes.at(at + 12)} / 16 * 4;
  if (header < 20 || into.content_bytes < header) return false;
  into.sequence = bytes.four(at + 4);
  into.acknowledged = bytes.four(at + 8);
  into.tcp_flags = bytes.at(at + 13);
  into.content_bytes -= static_cast<uint32_t>(header);
  return true;
}

}  // namespace

std::optional<PacketHeaders> parse_packet(std::string_view head) {
  Bytes bytes(head);
  PacketHeaders headers;
  int version = bytes.at(0) >> 4;
  auto content = version == 4   ? read_version4(bytes, head.size(), headers)
                 : version == 6 ? read_version6(bytes, head.size(), headers)
                                : std::nullopt;
  if (!content) return std::nullopt;
  headers.content_bytes = content->bytes;
  bool tcp = headers.protocol == IPPROTO_TCP;
  bool udp = headers.protocol == IPPROTO_UDP || headers.protocol == IPPROTO_UDPLITE;
  if (!tcp && !udp) return headers;
  if (head.size() < content->at + (tcp ? 20 : 8)) return std::nullopt;
  headers.from_port = bytes.two(content->at);
  headers.to_port = bytes.two(content->at + 2);
  if (tcp && !read_tcp(bytes, content->at, headers)) return std::nullopt;
  if (udp) headers.content_bytes -= std::min(headers.content_bytes, 8u);
  return headers;
}

}  // namespace godwit::forwarding
