// A program with a heap of the size given in MiB, every page touched, that sleeps and now and then looks at it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char** arguments) {
  size_t bytes = (count > 1 ? strtoul(arguments[1], NULL, 10) : 10) << 20;
  unsigned long* heap = malloc(bytes);
  for (size_t i = 0; i < bytes / 8; i++) heap[i] = i * 2654435761u + 1;
  printf("ready\n");
  fflush(stdout);
  for (size_t at = 0;; at = (at + 4096 / 8) % (bytes / 8)) {
    if (heap[at] != at * 2654435761u + 1) return 1;
    usleep(1000);
  }
}
