#include "sys/accept_queue.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "sys/errno.h"
#include "sys/socket_names.h"
#include "sys/socket_options.h"
#include "sys/tcp_segment.h"

extern "C" const std::byte godwit_accept_queue_program[];
extern "C" const std::byte godwit_accept_queue_program_end[];

namespace godwit::sys {

namespace {

constexpr size_t kPart = 16384;  // of what is delivered again

Error failed(int negative_errno, const char* call) {
  return Error{kind_of(-negative_errno), -negative_errno, call, "letting connections in"};
}

// The program on an interface's ingress. The end of the scope takes it away, unless it is told to stay.
class Ingress {
 public:
  // A place for programs, which stays. Without one it does nothing.
  static Result<bpf_tc_hook> make_place(const std::string& interface) {
    bpf_tc_hook hook{};
    hook.sz = sizeof hook;
    hook.ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
    hook.attach_point = BPF_TC_INGRESS;
    if (hook.ifindex == 0) return last_error("if_nametoindex", interface);
    int made = bpf_tc_hook_create(&hook);
    if (made < 0 && made != -EEXIST) return failed(made, "bpf_tc_hook_create");
    return hook;
  }
  static Result<Ingress> attach(int program, const std::string& interface) {
    Ingress ingress;
    ingress.hook_ = TRY(make_place(interface));
    ingress.options_.sz = sizeof ingress.options_;
    ingress.options_.prog_fd = program;
    int attached = bpf_tc_attach(&ingress.hook_, &ingress.options_);
    if (attached < 0) return failed(attached, "bpf_tc_attach");
    ingress.attached_ = true;
    return ingress;
  }
  ~Ingress() {
    if (!attached_) return;
    options_.prog_fd = options_.prog_id = options_.flags = 0;
    (void)bpf_tc_detach(&hook_, &options_);  // it goes with the interface at the latest
  }
  Ingress(Ingress&& other) noexcept
      : hook_(other.hook_), options_(other.options_), attached_(std::exchange(other.attached_, false)) {}
  Ingress& operator=(Ingress&&) = delete;
  void stay() && { attached_ = false; }

 private:
  Ingress() = default;
  bpf_tc_hook hook_{};
  bpf_tc_opts options_{};
  bool attached_ = false;
};

struct End {
  unsigned char address[16];
  unsigned short port;
};

End end_of(const std::string& address) {
  End end{};
  if (address.size() >= sizeof(sockaddr_in6)) {
    sockaddr_in6 six{};
    std::memcpy(&six, address.data(), sizeof six);
    std::memcpy(end.address, &six.sin6_addr, sizeof end.address);
    end.port = six.sin6_port;
    return end;
  }
  sockaddr_in four{};
  std::memcpy(&four, address.data(), std::min(address.size(), sizeof four));
  end.address[10] = end.address[11] = 0xff;
  std::memcpy(end.address + 12, &four.sin_addr, sizeof four.sin_addr);
  end.port = four.sin_port;
  return end;
}

uint32_t first_unread(const TcpConnection& connection) {
  return connection.receive_next - static_cast<uint32_t>(connection.received.size());
}

TcpRequest request_of(const TcpConnection& connection) {
  TcpRequest request{};
  End local = end_of(connection.local), peer = end_of(connection.peer);
  std::memcpy(request.ends.local, local.address, sizeof local.address);
  std::memcpy(request.ends.peer, peer.address, sizeof peer.address);
  request.ends.local_port = local.port;
  request.ends.peer_port = peer.port;
  request.receive_first = first_unread(connection);
  request.send_first = connection.send_first;
  request.timestamp = connection.timestamp;
  request.largest_segment = static_cast<unsigned short>(std::min<uint32_t>(connection.largest_segment, 65535));
  request.send_scale = static_cast<unsigned char>(connection.send_scale);
  request.receive_scale = static_cast<unsigned char>(connection.receive_scale);
  request.timestamps = connection.timestamps;
  request.selective_acknowledgements = connection.selective_acknowledgements;
  request.window_scaling = connection.window_scaling;
  return request;
}

}  // namespace

Result<AcceptQueue> AcceptQueue::load() {
  return AcceptQueue(TRY(BpfPrograms::load(std::span(godwit_accept_queue_program, godwit_accept_queue_program_end))));
}

Result<bool> AcceptQueue::has_requests(int fd) const {
  // Of several that share a port the kernel would show any.
  if (TRY(read_option(fd, SOL_SOCKET, SO_REUSEPORT)) != 0) return true;
  std::string address = unmapped(TRY(own_address(fd)));
  bpf_sock_tuple tuple{};
  End here = end_of(address);
  bool six = address.size() >= sizeof(sockaddr_in6);
  size_t size = six ? sizeof tuple.ipv6 : sizeof tuple.ipv4;
  if (six) {
    std::memcpy(tuple.ipv6.daddr, here.address, sizeof tuple.ipv6.daddr);
    tuple.ipv6.dport = here.port;
  } else {
    std::memcpy(&tuple.ipv4.daddr, here.address + 12, sizeof tuple.ipv4.daddr);
    tuple.ipv4.dport = here.port;
  }
  std::string packet(sizeof(ethhdr), '\0');
  packet.append(reinterpret_cast<const char*>(&tuple), size);
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = packet.data();
  options.data_size_in = static_cast<__u32>(packet.size());
  int result = bpf_prog_test_run_opts(TRY(programs_.program("count_requests")), &options);
  if (result < 0) return failed(result, "bpf(PROG_TEST_RUN)");
  return options.retval != 0;
}

Result<std::vector<TcpRequest>> AcceptQueue::requests() const {
  auto bytes = TRY(programs_.run("write_request", BpfPrograms::Over::everything));
  std::vector<TcpRequest> requests(bytes.size() / sizeof(TcpRequest));
  std::memcpy(requests.data(), bytes.data(), requests.size() * sizeof(TcpRequest));
  return requests;
}

Result<void> AcceptQueue::add(const TcpRequest& request) const {
  int result = bpf_map_update_elem(TRY(programs_.map("expected_requests")), &request.ends, &request, BPF_ANY);
  if (result < 0) return failed(result, "bpf(MAP_UPDATE_ELEM)");
  return {};
}

Result<bool> AcceptQueue::is_expected(const TcpRequest& request) const {
  TcpRequest found{};
  return bpf_map_lookup_elem(TRY(programs_.map("expected_requests")), &request.ends, &found) == 0;
}

Result<void> AcceptQueue::put_one(const TcpConnection& connection) const {
  TcpRequest request = request_of(connection);
  TRY(add(request));
  TRY(deliver_segment(connection, first_unread(connection), {}, false));
  if (TRY(is_expected(request))) {
    return error(ErrorKind::failed, "a listening socket does not take a connection that waited to be accepted");
  }
  std::string_view left = connection.received;
  for (uint32_t at = first_unread(connection); !left.empty();) {
    std::string_view part = left.substr(0, kPart);
    left.remove_prefix(part.size());
    TRY(deliver_segment(connection, at, part, false));
    at += static_cast<uint32_t>(part.size());
  }
  if (connection.peer_finished()) TRY(deliver_segment(connection, connection.receive_next, {}, true));
  return {};
}

Result<void> AcceptQueue::put(std::span<const TcpConnection> connections) const {
  if (connections.empty()) return {};
  Ingress ingress = TRY(Ingress::attach(TRY(programs_.program("take_in")), "lo"));
  for (const TcpConnection& connection : connections) TRY(put_one(connection));
  return {};
}

void AcceptQueue::make_ready(std::span<const std::string> interfaces) {
  for (const std::string& interface : interfaces) (void)Ingress::make_place(interface);
}

Result<void> AcceptQueue::expect(std::span<const TcpRequest> requests, std::span<const std::string> interfaces) const {
  for (const TcpRequest& request : requests) TRY(add(request));
  if (requests.empty()) return {};
  int program = TRY(programs_.program("take_in"));
  for (const std::string& interface : interfaces) {
    std::move(TRY(Ingress::attach(program, interface))).stay();
  }
  return {};
}

}  // namespace godwit::sys
