// godwitd: the node daemon. Options, then the parts, then the loop.
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "directory/embedded.h"
#include "node/daemon.h"
#include "node/rpc_server.h"
#include "sys/residency.h"
#include "sys/scheduling.h"

namespace godwit::node {
namespace {

struct Options {
  std::string config_file = "/etc/godwit/godwitd.toml";
  std::string directory, tunnel;
  Config config;
};

int parse(int count, char** arguments, Options& options) {
  // The file first, so that the command line has the last word.
  for (int i = 1; i + 1 < count; ++i) {
    if (std::string_view(arguments[i]) == "--config") options.config_file = arguments[i + 1];
  }
  char hostname[256] = {};
  ::gethostname(hostname, sizeof hostname - 1);
  options.config.node = hostname;
  if (auto read = read_config_file(options.config_file, options.config); !read) {
    fprintf(stderr, "godwitd: %s\n", read.error().message().c_str());
    return 2;
  }
  CLI::App app("The godwit node daemon: runs and moves jobs.", "godwitd");
  Config& config = options.config;
  app.add_option("--config", options.config_file, "Configuration file (TOML)")->capture_default_str();
  app.add_option("--node", config.node, "This node's name")->capture_default_str();
  app.add_option("--address", config.address, "Where other nodes reach this one")->capture_default_str();
  app.add_option("--port", config.port, "TCP port for other nodes")->capture_default_str();
  app.add_option("--directory", options.directory,
                 "NODE=ADDRESS[:PORT] of the node that keeps the directory (default: this one)");
  app.add_option("--run-dir", config.run_directory, "Sockets")->capture_default_str();
  app.add_option("--state-dir", config.state_directory, "What must last")->capture_default_str();
  app.add_option("--cgroup", config.cgroup, "Below the cgroup2 mount (default: godwit)");
  app.add_option(
      "--tunnel", options.tunnel,
      "auto, always or never: carry messages of jobs to other nodes in UDP (default: auto, to those behind routers)");
  app.add_option("--tunnel-port", config.tunnel.port, "UDP port for that, the same on all nodes")
      ->capture_default_str();
  app.add_option("--metrics", config.metrics, "Serve metrics over HTTP at HOST:PORT (default: nowhere)");
  app.add_flag("--debug", config.debug, "Log more");
  app.add_option("--fault", config.fault)->group("");
  app.set_version_flag("--version", "godwitd " GODWIT_VERSION);
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? -1 : 2;
  }
  auto parsed = [&]() -> Result<void> {
    if (!options.tunnel.empty()) config.tunnel.use = TRY(forwarding::parse_tunnel_use(options.tunnel));
    return options.directory.empty() ? Result<void>() : parse_directory(options.directory, config);
  }();
  if (!parsed) fprintf(stderr, "godwitd: %s\n", parsed.error().message().c_str());
  return parsed ? 0 : 2;
}

Result<std::unique_ptr<directory::Directory>> open_directory(const Config& config, Peers& peers) {
  if (config.directory_node.empty()) {
    return std::unique_ptr<directory::Directory>(
        TRY(directory::Embedded::open(config.state_directory + "/directory.db")));
  }
  peers.set_address(config.directory_node, config.directory_address, config.directory_port);
  return std::unique_ptr<directory::Directory>(std::make_unique<RemoteDirectory>(peers, config.directory_node));
}

// SIGTERM and SIGINT stop the loop; jobs run on without a daemon.
void stop_on_signals(EventLoop& loop, const sigset_t& signals) {
  std::thread([&loop, signals] {
    int number = 0;
    sigwait(&signals, &number);
    loop.stop();
  }).detach();
}

Result<void> serve(const Config& config, const sigset_t& signals) {
  auto loop = TRY(EventLoop::create());
  Peers peers(config.node, transport::tls_files_in(config.state_directory + "/tls"));
  auto directory = TRY(open_directory(config, peers));
  Daemon daemon(config, *loop, peers, std::move(directory));
  TRY(daemon.start());
  auto servers = TRY(RpcServers::start(daemon));
  std::unique_ptr<MetricsServer> metrics;
  if (!config.metrics.empty()) metrics = TRY(MetricsServer::start(daemon, config.metrics));
  stop_on_signals(*loop, signals);
  spdlog::info("godwitd {} on node {}, {}:{}", GODWIT_VERSION, config.node, config.address, config.port);
  loop->run();
  (void)metrics.release();  // whoever reads them may be waiting for the loop; the process ends now
  return {};
}

int run(int count, char** arguments) {
  Options options;
  int parsed = parse(count, arguments, options);
  if (parsed != 0) return parsed < 0 ? 0 : parsed;
  spdlog::set_default_logger(spdlog::stderr_logger_mt("godwitd"));
  spdlog::set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
  spdlog::flush_on(spdlog::level::info);
  if (options.config.debug) spdlog::set_level(spdlog::level::debug);
  if (::geteuid() != 0) {
    fputs("godwitd: must be root; start it with sudo or as a systemd service\n", stderr);
    return 1;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  constexpr int kUrgentNice = -10;  // little to do, and frozen programs wait for it
  sys::set_own_nice(kUrgentNice);
  constexpr size_t kSpareHeap = 4 << 20;
  sys::keep_heap();
  sys::touch_heap(kSpareHeap);
  sys::populate_code();
  auto served = serve(options.config, signals);
  if (!served) spdlog::critical("{}", served.error().message());
  fflush(nullptr);
  _exit(served ? 0
               : 1);  // gRPC's and other threads may still be waiting for peers; nothing of them needs an orderly end
}

}  // namespace
}  // namespace godwit::node

int main(int count, char** arguments) { return godwit::node::run(count, arguments); }
