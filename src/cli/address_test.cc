#include "cli/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace godwit::cli {
namespace {

struct World {
  std::map<std::string, std::string> environment;
  std::set<std::string> sockets;
  std::vector<std::string> labs;

  Surroundings surroundings() const {
    return {.environment = [this](const std::string& name) -> std::optional<std::string> {
              auto found = environment.find(name);
              return found == environment.end() ? std::nullopt : std::optional(found->second);
            },
            .socket_exists = [this](const std::string& path) { return sockets.contains(path); },
            .lab_names = [this] { return labs; }};
  }
  std::string target(const Globals& globals = {}) const {
    Result<Address> found = find_daemon(globals, surroundings());
    return found ? found->target : "error: " + found.error().context;
  }
};

const std::string kLab = "unix:/run/godwit-lab/a/node1/godwitd.sock";

World everything() {
  return {.environment = {},
          .sockets = {"/x.sock", "/env.sock", kLocalSocket, "/run/godwit-lab/a/node1/godwitd.sock"},
          .labs = {"a", "stopped"}};
}

TEST(FindDaemon, ConnectGoesBeforeEverything) {
  World world = everything();
  world.environment = {{"GODWIT_CONNECT", "/env.sock"}, {"GODWIT_LAB", "a"}};
  EXPECT_EQ(world.target({.connect = "/x.sock", .lab = "a"}), "unix:/x.sock");
  EXPECT_EQ(world.target({.connect = "unix:/x.sock", .lab = ""}), "unix:/x.sock");
  EXPECT_EQ(world.target(), "unix:/env.sock");
}

TEST(FindDaemon, ANamedLabGoesBeforeTheLocalDaemon) {
  World world = everything();
  EXPECT_EQ(world.target(), "unix:/run/godwit/godwitd.sock");
  EXPECT_EQ(world.target({.connect = "", .lab = "a"}), kLab);
  world.environment = {{"GODWIT_LAB", "a"}};
  EXPECT_EQ(world.target(), kLab);
}

TEST(FindDaemon, TheOnlyRunningLabIsFound) {
  World world = everything();
  world.sockets.erase(kLocalSocket);
  EXPECT_EQ(world.target(), kLab);
}

TEST(FindDaemon, SeveralLabsMustBeToldApart) {
  World world{.environment = {},
              .sockets = {"/run/godwit-lab/a/node1/godwitd.sock", "/run/godwit-lab/b/node1/godwitd.sock"},
              .labs = {"b", "a"}};
  EXPECT_EQ(world.target(), "error: 2 labs are running (a, b); say which one with --lab");
}

TEST(FindDaemon, NothingThereSaysWhatToDo) {
  EXPECT_THAT(World{}.target(), testing::HasSubstr("`godwit lab up 2`"));
  EXPECT_THAT(World{}.target({.connect = "", .lab = "x"}), testing::HasSubstr("lab x is not running"));
}

TEST(FindDaemon, AnAddressMustBeASocket) {
  EXPECT_EQ(World{}.target({.connect = "/x.sock", .lab = ""}), "error: there is no daemon's socket at /x.sock");
}

TEST(FindDaemon, NamesCannotLeadElsewhere) {
  World world;
  world.sockets = {"/run/godwit-lab/../../x/node1/godwitd.sock"};
  EXPECT_THAT(world.target({.connect = "", .lab = "../../x"}), testing::HasSubstr("is no lab's name"));
  EXPECT_THAT(world.target({.connect = "node7:7700", .lab = ""}), testing::HasSubstr("no daemon's address"));
}

}  // namespace
}  // namespace godwit::cli
