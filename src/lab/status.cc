// Which labs there are and how they are.
#include <algorithm>
#include <filesystem>

#include "lab/daemon.h"
#include "lab/lab.h"
#include "lab/lab_cgroup.h"
#include "lab/node.h"
#include "lab/record.h"

namespace godwit::lab {

bool valid_lab_name(const std::string& name) {
  auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= 32 && name.front() != '-' && std::ranges::all_of(name, fits);
}

std::vector<std::string> names() {
  std::vector<std::string> found;
  std::error_code code;
  std::filesystem::directory_iterator at(kLabDirectory, code);
  for (; !code && at != std::filesystem::directory_iterator(); at.increment(code)) {
    std::string name = at->path().filename().string();
    if (valid_lab_name(name)) found.push_back(name);
  }
  std::ranges::sort(found);
  return found;
}

Result<LabStatus> status(const std::string& lab) {
  if (!valid_lab_name(lab)) return error(ErrorKind::corrupt, "'" + lab + "' cannot be a lab's name");
  auto record = read_record(lab);
  if (!record) return error(ErrorKind::gone, "there is no lab " + lab);
  auto cgroup = TRY(LabCgroup::of(lab));
  LabStatus found{.lab = lab, .link = record->link, .routed = record->routed, .nodes = {}};
  for (uint32_t number = 1; number <= record->nodes; ++number) {
    NodeStatus node;
    node.name = node_name(number);
    node.address = node_address(*record, number);
    node.init_pid = find_node(*record, number).value_or(0);
    node.running = node.init_pid != 0;
    node.daemon_pid = find_daemon(cgroup, number);
    node.daemon_running = node.daemon_pid != 0;
    node.socket = daemon_socket(lab, number);
    node.log = daemon_log(lab, number);
    node.daemon_answers = node.daemon_running && accepts_connections(node.socket);
    node.processes = static_cast<uint32_t>(cgroup.processes(node.name).size());
    found.nodes.push_back(std::move(node));
  }
  return found;
}

}  // namespace godwit::lab
