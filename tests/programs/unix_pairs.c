// Socket pairs: stream, datagram, seqpacket, with what is queued in them, half closed, with an end that is gone, with
// descriptors and credentials in flight, between two processes that talk.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "check.h"

static void pair(int type, int ends[2]) { CHECK(socketpair(AF_UNIX, type, 0, ends) == 0); }

static void send_descriptor(int over, const char* text, int fd) {
  char space[CMSG_SPACE(sizeof fd)] = {0};
  struct iovec part = {(void*)text, strlen(text)};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  CHECK(sendmsg(over, &message, 0) == (ssize_t)strlen(text));
}

// Returns the descriptor that came along, or -1; `who` gets the credentials, if they came.
static int receive(int from, const char* expected, struct ucred* who) {
  char space[256] = {0}, text[100] = {0};
  struct iovec part = {text, sizeof text - 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  CHECK(recvmsg(from, &message, MSG_DONTWAIT) == (ssize_t)strlen(expected) && strcmp(text, expected) == 0);
  int fd = -1;
  for (struct cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(header), sizeof fd);
    if (header->cmsg_type == SCM_CREDENTIALS && who) memcpy(who, CMSG_DATA(header), sizeof *who);
  }
  return fd;
}

int main(int count, char** arguments) {
  begin(count, arguments);
  int stream[2], half[2], orphan[2], datagram[2], packet[2], rights[2], creds[2], talk[2], unread[2], one = 1;
  pair(SOCK_STREAM, stream), pair(SOCK_STREAM, half), pair(SOCK_STREAM, orphan), pair(SOCK_DGRAM, datagram);
  pair(SOCK_SEQPACKET, packet), pair(SOCK_STREAM, rights), pair(SOCK_DGRAM, creds), pair(SOCK_STREAM, talk);
  pair(SOCK_STREAM, unread);
  static char content[50000], again[50000];
  for (unsigned i = 0; i < sizeof content; i++) content[i] = (char)(i * 13);
  int size = 200000;
  CHECK(setsockopt(stream[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
  CHECK(write(stream[0], content, sizeof content) == sizeof content && write(stream[1], "back", 4) == 4);
  CHECK(write(half[0], "last words", 10) == 10 && shutdown(half[0], SHUT_WR) == 0);
  CHECK(write(orphan[0], "farewell", 8) == 8 && close(orphan[0]) == 0);
  CHECK(send(datagram[0], "one", 3, 0) == 3 && send(datagram[0], "", 0, 0) == 0 &&
        send(datagram[0], "three", 5, 0) == 5);
  CHECK(send(packet[0], "first", 5, 0) == 5 && send(packet[0], "second", 6, 0) == 6);
  CHECK(setsockopt(creds[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one) == 0 && send(creds[0], "who", 3, 0) == 3);
  char name[300];
  snprintf(name, sizeof name, "%s.sent", flag_path);
  int file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600), pipe_ends[2], inner[2];
  CHECK(file >= 0 && write(file, "0123456789", 10) == 10 && lseek(file, 4, SEEK_SET) == 4 && pipe(pipe_ends) == 0);
  pair(SOCK_STREAM, inner);
  CHECK(write(pipe_ends[1], "in the pipe", 11) == 11 && write(inner[0], "inside", 6) == 6);
  send_descriptor(rights[0], "file", file);
  send_descriptor(rights[0], "pipe", pipe_ends[0]);
  send_descriptor(rights[0], "pair", inner[1]);
  CHECK(write(rights[0], "plain", 5) == 5 && close(pipe_ends[0]) == 0 && close(inner[1]) == 0);
  CHECK(fcntl(unread[1], F_SETFL, O_NONBLOCK) == 0);
  pid_t child = fork();
  if (child == 0) {
    close(talk[0]), close(unread[0]);
    unsigned word;
    while (read(talk[1], &word, sizeof word) == sizeof word) {
      word = word * 3 + 1;
      CHECK(write(talk[1], &word, sizeof word) == sizeof word);
    }
    _exit(5);
  }
  close(talk[1]);
  ready();
  for (unsigned i = 0; !told_to_stop(); i++) {
    unsigned word = i;
    CHECK(write(talk[0], &word, sizeof word) == sizeof word);
    CHECK(read(talk[0], &word, sizeof word) == sizeof word && word == i * 3 + 1);
    pause_ms(2);
  }
  int queued = 0;
  CHECK(ioctl(stream[1], FIONREAD, &queued) == 0 && queued == sizeof content);
  for (size_t have = 0; have < sizeof again;) {
    ssize_t got = read(stream[1], again + have, sizeof again - have);
    CHECK(got > 0);
    have += (size_t)got;
  }
  CHECK(memcmp(content, again, sizeof content) == 0);
  receive(stream[0], "back", NULL);
  socklen_t length = sizeof size;
  CHECK(getsockopt(stream[0], SOL_SOCKET, SO_SNDBUF, &size, &length) == 0 && size == 400000);
  receive(half[1], "last words", NULL);
  CHECK(read(half[1], again, 1) == 0 && write(half[1], "answer", 6) == 6);
  receive(half[0], "answer", NULL);
  CHECK(send(half[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
  receive(orphan[1], "farewell", NULL);
  CHECK(read(orphan[1], again, 1) == 0 && send(orphan[1], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
  receive(datagram[1], "one", NULL), receive(datagram[1], "", NULL), receive(datagram[1], "three", NULL);
  CHECK(recv(datagram[1], again, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
  CHECK(send(datagram[1], "again", 5, 0) == 5);
  receive(datagram[0], "again", NULL);
  receive(packet[1], "first", NULL), receive(packet[1], "second", NULL);
  struct ucred who = {0, 1, 1};
  receive(creds[1], "who", &who);
  CHECK(who.pid == getpid() && who.uid == getuid() && who.gid == getgid());
  CHECK(send(creds[0], "now", 3, 0) == 3);
  receive(creds[1], "now", &who);
  CHECK(who.pid == getpid());
  int sent = receive(rights[1], "file", NULL);
  CHECK(sent >= 0 && read(sent, again, 3) == 3 && memcmp(again, "456", 3) == 0 && lseek(file, 0, SEEK_CUR) == 7);
  sent = receive(rights[1], "pipe", NULL);
  CHECK(sent >= 0 && read(sent, again, 11) == 11 && memcmp(again, "in the pipe", 11) == 0);
  sent = receive(rights[1], "pair", NULL);
  CHECK(sent >= 0);
  receive(sent, "inside", NULL);
  CHECK(write(sent, "out", 3) == 3);
  receive(inner[0], "out", NULL);
  CHECK(receive(rights[1], "plain", NULL) == -1);
  CHECK(read(unread[1], again, 1) == -1 && errno == EAGAIN && close(unread[0]) == 0 && read(unread[1], again, 1) == 0);
  close(talk[0]);
  int status;
  CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 5);
  unlink(name);
  return pass();
}
