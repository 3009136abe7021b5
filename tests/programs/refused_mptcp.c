// expect: refused socket.mptcp
// A connection of MPTCP does not move: it is refused by name, and nothing happens to it.
#include <netinet/in.h>
#include <sys/socket.h>

#include "check.h"

static void cross(int from, int to) {
  static unsigned char turn;
  unsigned char got = 0;
  ++turn;
  CHECK(send(from, &turn, 1, 0) == 1);
  CHECK(recv(to, &got, 1, 0) == 1 && got == turn);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  int listening = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
  CHECK(listening >= 0 && bind(listening, (struct sockaddr*)&address, sizeof address) == 0);
  CHECK(listen(listening, 1) == 0 && getsockname(listening, (struct sockaddr*)&address, &length) == 0);
  int asking = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
  CHECK(asking >= 0 && connect(asking, (struct sockaddr*)&address, sizeof address) == 0);
  int answering = accept(listening, NULL, NULL);
  CHECK(answering >= 0);
  ready();
  while (!told_to_stop()) {
    cross(asking, answering);
    cross(answering, asking);
    pause_ms(5);
  }
  cross(asking, answering);
  return pass();
}
