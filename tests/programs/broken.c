// expect: failure
// Fails on purpose when it has been moved: the runner must notice. (Natively it passes.)
#include <sys/prctl.h>

#include "check.h"

static unsigned long hostname_hash(void) {
  // What differs between nodes and is not the program's: the machine's own idea of its overlay.
  FILE* file = fopen("/etc/hostname", "r");
  char name[100] = "";
  if (file != NULL) {
    if (fgets(name, sizeof name, file) == NULL) name[0] = 0;
    fclose(file);
  }
  unsigned long hash = 5381;
  for (char* c = name; *c != 0; c++) hash = hash * 33 + (unsigned char)*c;
  return hash;
}

int main(int count, char** arguments) {
  begin(count, arguments);
  unsigned long before = hostname_hash();
  ready();
  while (!told_to_stop()) {
    CHECK(hostname_hash() == before);
    pause_ms(5);
  }
  return pass();
}
