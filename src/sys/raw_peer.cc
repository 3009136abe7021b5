#include "sys/raw_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "sys/text_file.h"

namespace godwit::sys {

namespace {

constexpr unsigned kConnected = 1;  // TCP_ESTABLISHED, include/net/tcp_states.h

// Words of eight digits, each as this machine reads four bytes of the address.
template <class Address>
bool read_address(std::string_view digits, Address& into) {
  if (digits.size() != sizeof into * 2) return false;
  for (size_t word = 0; word < sizeof into / 4; ++word) {
    unsigned value = 0;
    if (std::sscanf(std::string(digits.substr(word * 8, 8)).c_str(), "%8x", &value) != 1) return false;
    std::memcpy(reinterpret_cast<char*>(&into) + word * 4, &value, sizeof value);
  }
  return true;
}

template <class T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string socket_address(int family, std::string_view digits, unsigned port) {
  if (family == AF_INET) {
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = htons(static_cast<uint16_t>(port));
    return read_address(digits, four.sin_addr) ? bytes_of(four) : std::string();
  }
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(static_cast<uint16_t>(port));
  return read_address(digits, six.sin6_addr) ? bytes_of(six) : std::string();
}

}  // namespace

std::string parse_raw_peer(std::string_view text, int family, uint64_t inode) {
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    std::array<char, 33> address{};
    unsigned port = 0, state = 0;
    unsigned long long number = 0;
    int found = std::sscanf(line.c_str(), " %*d: %*[0-9A-F]:%*x %32[0-9A-F]:%x %x %*s %*s %*s %*u %*u %llu",
                            address.data(), &port, &state, &number);
    if (found != 4 || number != inode) continue;
    return state == kConnected ? socket_address(family, address.data(), port) : std::string();
  }
  return {};
}

Result<std::string> raw_peer(pid_t pid, const SocketShape& shape, uint64_t inode) {
  std::string name = shape.type == SOCK_RAW ? "raw" : "icmp";
  if (shape.family == AF_INET6) name += "6";
  std::string text = TRY(read_text("/proc/" + std::to_string(pid) + "/net/" + name));
  return parse_raw_peer(text, shape.family, inode);
}

}  // namespace godwit::sys
