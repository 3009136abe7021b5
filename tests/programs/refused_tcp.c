// expect: refused socket.tcp.established
// A live TCP connection does not move yet: it is refused by name, and nothing happens to it.
#include <arpa/inet.h>
#include <sys/socket.h>

#include "check.h"

int main(int count, char** arguments) {
  begin(count, arguments);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(listener, (struct sockaddr*)&address, sizeof address) == 0 && listen(listener, 5) == 0);
  CHECK(getsockname(listener, (struct sockaddr*)&address, &length) == 0);
  CHECK(connect(client, (struct sockaddr*)&address, sizeof address) == 0);
  int server = accept(listener, NULL, NULL);
  CHECK(server >= 0);
  ready();
  while (!told_to_stop()) {
    char byte = 'a', back = 0;
    CHECK(write(client, &byte, 1) == 1 && read(server, &back, 1) == 1 && back == 'a');
    pause_ms(5);
  }
  return pass();
}
