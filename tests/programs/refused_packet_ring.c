// expect: refused socket.packet.ring
// A packet socket with a ring that the kernel fills does not move: it is refused by name, and nothing happens to it.
#include <linux/if_packet.h>
#include <sys/socket.h>

#include "check.h"

int main(int count, char** arguments) {
  begin(count, arguments);
  int fd = socket(AF_PACKET, SOCK_DGRAM, 0);
  struct tpacket_req ring = {.tp_block_size = 4096, .tp_block_nr = 2, .tp_frame_size = 2048, .tp_frame_nr = 4};
  CHECK(fd >= 0 && setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) == 0);
  ready();
  while (!told_to_stop()) pause_ms(5);
  return pass();
}
