// Making a lab: record, authority, nodes, network, daemons, in this order; and taking all of it away again.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "lab/daemon.h"
#include "lab/directories.h"
#include "lab/lab.h"
#include "lab/lab_cgroup.h"
#include "lab/network.h"
#include "lab/node.h"
#include "lab/record.h"
#include "sys/file_lock.h"
#include "transport/certificates.h"

namespace godwit::lab {
namespace {

namespace fs = std::filesystem;

// One `up` or `down` at a time on a machine.
Result<UniqueFd> lock_labs() {
  auto lock = sys::lock_directory(kLabDirectory, std::chrono::seconds(60));
  if (!lock && lock.error().kind == ErrorKind::retry) {
    return error(ErrorKind::retry, "another `godwit lab` command is at work");
  }
  return lock;
}

Result<void> require_root() {
  if (::geteuid() == 0) return {};
  return error(ErrorKind::denied, "a lab needs root: namespaces, mounts and cgroups are made");
}

// The lowest number no other lab has.
Result<uint32_t> free_number() {
  std::set<uint32_t> taken;
  for (const std::string& lab : names()) {
    if (auto record = read_record(lab)) taken.insert(record->number);
  }
  for (uint32_t number = 0; number < 255; ++number) {
    if (!taken.contains(number)) return number;
  }
  return error(ErrorKind::exhausted, "there are 255 labs on this machine already");
}

bool any_node_runs(const Record& record) {
  for (uint32_t node = 1; node <= record.nodes; ++node) {
    if (find_node(record, node)) return true;
  }
  return false;
}

// Everything that a lab can consist of, whatever of it is there.
Result<void> remove_lab(const std::string& lab) {
  TRY(TRY(LabCgroup::of(lab)).remove());
  TRY(remove_tree(data_directory(lab)));
  TRY(remove_tree(run_directory(lab)));
  std::error_code code;  // they stay while there are other labs
  fs::remove(kDataRoot, code);
  fs::remove(kLabDirectory, code);
  return {};
}

Result<Record> begin_record(const Options& options) {
  Record record;
  record.lab = options.lab;
  record.nodes = options.nodes;
  record.link = options.link;
  record.routed = options.routed;
  record.fault = options.fault;
  record.debug = options.debug;
  record.programs = options.programs.empty() ? TRY(own_directory()) : options.programs;
  std::error_code code;
  record.programs = fs::canonical(record.programs, code).string();
  if (code) return error(ErrorKind::gone, options.programs + ": " + code.message());
  for (const char* program : {"godwit-init", "godwitd"}) TRY(find_program(record.programs, program));
  record.number = TRY(free_number());
  return record;
}

Result<void> check_options(const Options& options) {
  if (!valid_lab_name(options.lab)) return error(ErrorKind::corrupt, "'" + options.lab + "' cannot be a lab's name");
  uint32_t most = options.routed ? kMaxRoutedNodes : kMaxNodes;
  if (options.nodes < 1 || options.nodes > most) {
    return error(ErrorKind::corrupt,
                 std::string(options.routed ? "a routed" : "a") + " lab has 1 to " + std::to_string(most) + " nodes");
  }
  if (!options.link.empty()) TRY(parse_link_rate(options.link));
  return {};
}

Result<void> make_directories_and_keys(const Record& record) {
  TRY(make_directory(kDataRoot, 0755));
  TRY(make_directory(data_directory(record.lab), 0755));
  TRY(make_directory(shared_directory(record.lab), 01777));
  std::string authority = authority_directory(record.lab);
  TRY(transport::create_authority(authority));
  for (uint32_t node = 1; node <= record.nodes; ++node) {
    TRY(make_directory(node_run_directory(record.lab, node), 0755));
    std::string tls = node_data_directory(record.lab, node) + "/tls";
    const std::string address[] = {node_address(record, node)};
    TRY(transport::issue_node_certificate(authority, tls, node_name(node), address));
  }
  // The first node admits others, so the authority's key lives there.
  std::error_code code;
  fs::copy_file(authority + "/ca.key", node_data_directory(record.lab, 1) + "/tls/ca.key", code);
  if (code) return error(ErrorKind::failed, "ca.key: " + code.message());
  return {};
}

Result<void> build(const Record& record, const Options& options) {
  TRY(make_directories_and_keys(record));
  auto cgroup = TRY(LabCgroup::of(record.lab));
  pid_t bridge = TRY(start_bridge(record, cgroup));
  std::vector<pid_t> nodes;
  for (uint32_t node = 1; node <= record.nodes; ++node) nodes.push_back(TRY(start_node(record, cgroup, node)));
  TRY(connect_nodes(record, bridge, nodes));
  for (uint32_t node = 1; node <= record.nodes; ++node) TRY(launch_daemon(record, cgroup, node));
  auto deadline = std::chrono::steady_clock::now() + options.patience;
  for (uint32_t node = 1; node <= record.nodes; ++node) {
    TRY(wait_for_daemon(record, cgroup, node, options.answers, deadline));
  }
  return {};
}

}  // namespace

Result<LabStatus> up(const Options& options) {
  TRY(check_options(options));
  TRY(require_root());
  auto lock = TRY(lock_labs());
  if (auto old = read_record(options.lab); old && old->complete && any_node_runs(*old)) {
    return error(ErrorKind::conflict, "lab " + options.lab + " is up already");
  }
  TRY(remove_lab(options.lab).within("what is left of a former lab"));
  TRY(make_directories(run_directory(options.lab)));
  Record record = TRY(begin_record(options));
  TRY(write_record(record));
  auto built = build(record, options);
  if (!built) {
    auto removed = remove_lab(options.lab);
    if (!removed) return std::move(built.error()).within(removed.error().message());
    return std::move(built.error());
  }
  record.complete = true;
  TRY(write_record(record));
  return status(options.lab);
}

Result<bool> down(const std::string& lab) {
  if (!valid_lab_name(lab)) return error(ErrorKind::corrupt, "'" + lab + "' cannot be a lab's name");
  TRY(require_root());
  auto lock = TRY(lock_labs());
  std::error_code code;
  bool was_there = fs::exists(run_directory(lab), code) || fs::exists(data_directory(lab), code);
  TRY(remove_lab(lab));
  return was_there;
}

}  // namespace godwit::lab
