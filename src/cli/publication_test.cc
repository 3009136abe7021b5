#include "cli/publication.h"

#include <gtest/gtest.h>

namespace godwit::cli {
namespace {

std::string read(const std::string& text) {
  auto publication = parse_publication(text);
  if (!publication) return "refused";
  api::Job job;
  *job.add_published() = *publication;
  return ports_of(job);
}

TEST(Publication, ReadsWhatUsersWrite) {
  EXPECT_EQ(read("80"), "80->80/tcp");
  EXPECT_EQ(read("8080:80"), "8080->80/tcp");
  EXPECT_EQ(read("53/udp"), "53->53/udp");
  EXPECT_EQ(read("65535:1/tcp"), "65535->1/tcp");
}

TEST(Publication, RefusesWhatIsNoPort) {
  for (const char* bad :
       {"", ":", "80:", ":80", "0", "65536", "80/sctp", "80/", "-1", "1:2:3", "8 0", "127.0.0.1:80:80"})
    EXPECT_EQ(read(bad), "refused") << bad;
}

TEST(Publication, SeveralAreListed) {
  api::Job job;
  EXPECT_EQ(ports_of(job), "");
  *job.add_published() = parse_publication("8080:80").value();
  *job.add_published() = parse_publication("53/udp").value();
  EXPECT_EQ(ports_of(job), "8080->80/tcp, 53->53/udp");
}

}  // namespace
}  // namespace godwit::cli
