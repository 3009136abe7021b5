// Words spread over huge pages, and what each should be. Define PAGES_OF_AREA first: the most of one.
#pragma once

#include <stdio.h>

#include "check.h"

enum { WORDS = 64 };  // that are looked at in each page
static size_t page_bytes;
static unsigned long seed = 88172645463325252;

struct area {
  char path[256];  // of a file; empty: it has no name
  int fd;          // -1: closed
  volatile unsigned long* words;
  size_t pages;
  unsigned long expected[PAGES_OF_AREA][WORDS];
};

static unsigned pick(unsigned below) {
  seed = seed * 6364136223846793005ul + 1442695040888963407ul;
  return (unsigned)(seed >> 33) % below;
}
// No two in the same 4 KiB.
static size_t place_of(size_t page, size_t word) { return page * page_bytes + word * (page_bytes / WORDS); }
static volatile unsigned long* word_of(struct area* area, size_t page, size_t word) {
  return area->words + place_of(page, word) / sizeof(long);
}
static void write_some(struct area* area, unsigned count) {
  while (count-- > 0) {
    unsigned page = pick((unsigned)area->pages), word = pick(WORDS);
    unsigned long value = pick(4) == 0 ? 0 : seed;
    *word_of(area, page, word) = area->expected[page][word] = value;
  }
}
static void verify(struct area* area) {
  for (size_t page = 0; page < area->pages; page++)
    for (size_t word = 0; word < WORDS; word++) CHECK(*word_of(area, page, word) == area->expected[page][word]);
}
