// Named unix sockets: stream listeners with a path and an abstract name, accepted connections, connections that wait
// to be accepted, datagram sockets with names and what was sent to them.
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "check.h"

static struct sockaddr_un address_of(const char* path, socklen_t* length) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path[0] == '@') {
    memcpy(address.sun_path + 1, path + 1, strlen(path) - 1);
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
  } else {
    strcpy(address.sun_path, path);
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
  }
  return address;
}

static int bound(int type, const char* path) {
  socklen_t length;
  struct sockaddr_un address = address_of(path, &length);
  int fd = socket(AF_UNIX, type, 0);
  if (path[0] != '@') unlink(path);
  CHECK(fd >= 0 && bind(fd, (struct sockaddr*)&address, length) == 0);
  return fd;
}

static int connected(int type, const char* path) {
  socklen_t length;
  struct sockaddr_un address = address_of(path, &length);
  int fd = socket(AF_UNIX, type, 0);
  CHECK(fd >= 0 && connect(fd, (struct sockaddr*)&address, length) == 0);
  return fd;
}

static void exchange(int from, int to, const char* text) {
  char got[100];
  CHECK(write(from, text, strlen(text)) == (ssize_t)strlen(text));
  CHECK(read(to, got, sizeof got) == (ssize_t)strlen(text) && memcmp(got, text, strlen(text)) == 0);
}

// What getsockname (0) or getpeername (1) tells.
static void check_name(int fd, int peer, const char* path) {
  socklen_t expected, length = sizeof(struct sockaddr_un);
  struct sockaddr_un address = {0}, wanted = address_of(path, &expected);
  CHECK((peer ? getpeername : getsockname)(fd, (struct sockaddr*)&address, &length) == 0);
  CHECK(length == expected && memcmp(&address, &wanted, length) == 0);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  char path[90], named[90], gone[90], abstract[90];
  snprintf(path, sizeof path, "%s.s", flag_path), snprintf(named, sizeof named, "%s.d", flag_path);
  snprintf(gone, sizeof gone, "%s.g", flag_path), snprintf(abstract, sizeof abstract, "@godwit%s", flag_path);
  int by_path = bound(SOCK_STREAM, path), by_name = bound(SOCK_SEQPACKET, abstract),
      nameless = bound(SOCK_STREAM, gone);
  CHECK(chmod(path, 0620) == 0 && listen(by_path, 7) == 0 && listen(by_name, 3) == 0 && listen(nameless, 3) == 0);
  int client = connected(SOCK_STREAM, path), server = accept(by_path, NULL, NULL);
  int packets = connected(SOCK_SEQPACKET, abstract), packet_server = accept(by_name, NULL, NULL);
  int kept = connected(SOCK_STREAM, gone), kept_server = accept(nameless, NULL, NULL);
  CHECK(unlink(gone) == 0 && server >= 0 && packet_server >= 0 && kept_server >= 0);
  int first = connected(SOCK_STREAM, path), second = connected(SOCK_STREAM, path);  // wait to be accepted
  int receiver = bound(SOCK_DGRAM, named), sender = connected(SOCK_DGRAM, named);
  char from[95];
  snprintf(from, sizeof from, "%s.from", abstract);
  int known = bound(SOCK_DGRAM, from);
  socklen_t length;
  struct sockaddr_un to = address_of(named, &length);
  CHECK(send(sender, "nobody", 6, 0) == 6 && sendto(known, "somebody", 8, 0, (struct sockaddr*)&to, length) == 8);
  ready();
  for (int i = 0; !told_to_stop(); i++) {
    exchange(client, server, "request"), exchange(server, client, "answer");
    exchange(packets, packet_server, "packet"), exchange(kept, kept_server, "kept");
    int guest = connected(SOCK_SEQPACKET, abstract), host = accept(by_name, NULL, NULL);
    exchange(guest, host, "guest");
    close(guest), close(host);
    pause_ms(5);
  }
  check_name(by_path, 0, path), check_name(client, 1, path), check_name(server, 0, path);
  check_name(packets, 1, abstract), check_name(known, 0, from), check_name(sender, 1, named), check_name(kept, 1, gone);
  struct stat status;
  CHECK(stat(path, &status) == 0 && S_ISSOCK(status.st_mode) && (status.st_mode & 0777) == 0620);
  CHECK(access(gone, F_OK) == -1);
  int taken = accept(by_path, NULL, NULL), next = accept(by_path, NULL, NULL);
  exchange(first, taken, "first"), exchange(next, second, "second");
  int late = connected(SOCK_STREAM, path), latest = accept(by_path, NULL, NULL);
  exchange(late, latest, "late");
  char text[100];
  struct sockaddr_un who;
  length = sizeof who;
  CHECK(recvfrom(receiver, text, sizeof text, 0, (struct sockaddr*)&who, &length) == 6);
  length = sizeof who;
  CHECK(recvfrom(receiver, text, sizeof text, 0, (struct sockaddr*)&who, &length) == 8);
  CHECK(sendto(receiver, "reply", 5, 0, (struct sockaddr*)&who, length) == 5 && read(known, text, sizeof text) == 5);
  CHECK(send(sender, "more", 4, 0) == 4 && read(receiver, text, sizeof text) == 4);
  unlink(path), unlink(named);
  return pass();
}
