#include <cstdio>

#include "cli/command_line.h"

int main(int argc, char** argv) {
  godwit::cli::CommandLine line("godwit", "x");
  (void)line;
  return line.run({argv + 1, argv + argc});
}
