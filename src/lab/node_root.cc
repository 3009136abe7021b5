#include "lab/node_root.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <vector>

#include "lab/directories.h"
#include "lab/lab_cgroup.h"
#include "proc/mountinfo.h"
#include "sys/byte_stream.h"
#include "sys/device_node.h"
#include "sys/mount.h"
#include "sys/text_file.h"

namespace godwit::lab {
namespace {

namespace fs = std::filesystem;

// Kernel interfaces and what a node has for itself: not taken from the machine.
constexpr std::array<std::string_view, 11> kOwnPlaces{"/proc",
                                                      "/sys",
                                                      "/dev",
                                                      "/run",
                                                      "/tmp",
                                                      "/shared",
                                                      "/var/lib/godwit",
                                                      "/var/lib/godwit-lab",
                                                      "/var/lib/docker",
                                                      "/var/lib/containers",
                                                      "/etc/hosts"};
constexpr std::array<std::string_view, 8> kInterfaceTypes{"autofs",  "binfmt_misc", "cgroup", "cgroup2",
                                                          "debugfs", "fusectl",     "nsfs",   "rpc_pipefs"};
constexpr std::array<const char*, 9> kDevices{"null", "zero", "full",        "random", "urandom",
                                              "tty",  "fuse", "userfaultfd", "net/tun"};

bool is_below(std::string_view path, std::string_view top) {
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

bool is_own_place(std::string_view path) {
  return std::ranges::any_of(kOwnPlaces, [&](std::string_view place) { return is_below(path, place); });
}

Result<void> write_file(const std::string& path, const std::string& text) {
  auto fd = TRY(sys::open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  return sys::write_all(fd.get(), text).within(path);
}

Result<void> mount_overlay_once(const std::string& lower, const std::string& directory, const std::string& target) {
  TRY(make_directory(directory + "/upper", 0755));
  TRY(make_directory(directory + "/work", 0755));
  return sys::mount_new("overlay", target, 0,
                        "lowerdir=" + lower + ",upperdir=" + directory + "/upper,workdir=" + directory + "/work");
}

// `directory` holds what is written; a tmpfs is put there when its own file system cannot be written through an
// overlay.
Result<void> mount_overlay(const std::string& lower, const std::string& directory, const std::string& target) {
  TRY(make_directories(directory));
  if (mount_overlay_once(lower, directory, target)) return {};
  TRY(sys::mount_new("tmpfs", directory));
  return mount_overlay_once(lower, directory, target);
}

// Overlay options have no way to write these.
bool fits_overlay_options(const std::string& path) { return path.find_first_of(",:\\\"") == std::string::npos; }

// The machine's other file systems, each under an overlay of its own.
void add_other_file_systems(const std::vector<proc::Mount>& mounts, const std::string& data, const std::string& root) {
  int count = 0;
  for (const proc::Mount& mount : mounts) {
    bool wanted = mount.point != "/" && !is_own_place(mount.point) &&
                  std::ranges::find(kInterfaceTypes, mount.type) == kInterfaceTypes.end();
    if (!wanted) continue;
    std::error_code code;
    std::string target = root + mount.point;
    bool directory = fs::is_directory(mount.point, code);
    if (directory && fits_overlay_options(mount.point) &&
        mount_overlay(mount.point, data + "/mount" + std::to_string(++count), target)) {
      continue;
    }
    if (sys::bind_mount(mount.point, target)) (void)sys::remount_read_only(target);
  }
}

// Version 1 hierarchies that the machine limits processor time by.
Result<void> add_cpu_controller(const std::string& root, const std::vector<proc::Mount>& mounts, unsigned long flags) {
  for (const proc::Mount& mount : mounts) {
    std::string options = "," + mount.super_options + ",";
    if (mount.type != "cgroup" || options.find(",cpu,") == std::string::npos) continue;
    std::string controllers = options.find(",cpuacct,") == std::string::npos ? "cpu" : "cpu,cpuacct";
    TRY(make_directories(root + mount.point));
    return sys::mount_new("cgroup", root + mount.point, flags, controllers);
  }
  return {};
}

Result<void> add_kernel_interfaces(const std::string& root, const std::string& cgroup2,
                                   const std::vector<proc::Mount>& mounts) {
  constexpr unsigned long kPlain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  TRY(sys::mount_new("proc", root + "/proc", kPlain));
  TRY(sys::mount_new("sysfs", root + "/sys", kPlain));
  constexpr std::string_view kUsualPlace = "/sys/fs/cgroup";
  if (cgroup2 != kUsualPlace && is_below(cgroup2, kUsualPlace)) {
    TRY(sys::mount_new("tmpfs", root + std::string(kUsualPlace), kPlain, "mode=755,size=64k"));
  }
  TRY(make_directories(root + cgroup2));
  TRY(sys::mount_new("cgroup2", root + cgroup2, kPlain));
  return add_cpu_controller(root, mounts, kPlain);
}

Result<void> add_devices(const std::string& root) {
  std::string dev = root + "/dev";
  TRY(sys::mount_new("tmpfs", dev, MS_NOSUID, "mode=755,size=64k"));
  for (const char* name : {"/pts", "/shm", "/mqueue", "/net"}) TRY(make_directory(dev + name, 0755));
  for (const char* name : kDevices) {
    auto copied = sys::copy_device_node("/dev/" + std::string(name), dev + "/" + name);
    if (!copied && copied.error().kind != ErrorKind::gone) return copied;  // what the machine has not, a node has not
  }
  TRY(sys::mount_new("devpts", dev + "/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=666,mode=620,gid=5"));
  TRY(sys::mount_new("tmpfs", dev + "/shm", MS_NOSUID | MS_NODEV, "mode=1777"));
  TRY(sys::mount_new("mqueue", dev + "/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC));
  constexpr std::pair<const char*, const char*> kLinks[] = {{"pts/ptmx", "/ptmx"},
                                                            {"/proc/self/fd", "/fd"},
                                                            {"/proc/self/fd/0", "/stdin"},
                                                            {"/proc/self/fd/1", "/stdout"},
                                                            {"/proc/self/fd/2", "/stderr"}};
  for (auto [to, name] : kLinks) {
    std::error_code code;
    fs::create_symlink(to, dev + name, code);
    if (code) return error(ErrorKind::failed, dev + name + ": " + code.message());
  }
  return {};
}

Result<void> add_own_directories(const Record& record, uint32_t node, const std::string& root) {
  TRY(make_directories(root + "/tmp"));
  TRY(sys::mount_new("tmpfs", root + "/tmp", MS_NOSUID | MS_NODEV, "mode=1777"));
  TRY(make_directories(root + "/run"));
  TRY(sys::mount_new("tmpfs", root + "/run", MS_NOSUID | MS_NODEV, "mode=755"));
  TRY(make_directory(root + "/run/lock", 01777));
  TRY(make_directory(root + "/run/godwit", 0755));
  TRY(sys::bind_mount(node_run_directory(record.lab, node), root + "/run/godwit"));
  TRY(make_directories(root + "/shared"));
  TRY(sys::bind_mount(shared_directory(record.lab), root + "/shared"));
  // Programs that lie where a node has its own files are seen there nevertheless.
  if (is_below(record.programs, "/tmp") || is_below(record.programs, "/run")) {
    TRY(make_directories(root + record.programs));
    TRY(sys::bind_mount(record.programs, root + record.programs));
  }
  // A daemon of the machine itself may have its state here: the node begins with none. Through the overlay, so nothing
  // is lost.
  TRY(remove_tree(root + "/var/lib/godwit"));
  TRY(make_directory(root + "/var/lib/godwit", 0700));
  TRY(copy_tree(node_data_directory(record.lab, node) + "/tls", root + "/var/lib/godwit/tls"));
  return make_directory(root + "/var/lib/godwit/tls", 0700);
}

Result<void> name_node(const Record& record, uint32_t node, const std::string& root) {
  std::string hosts = "127.0.0.1 localhost\n";
  for (uint32_t each = 1; each <= record.nodes; ++each) {
    hosts += node_address(record, each) + " " + node_name(each) + "\n";
  }
  TRY(write_file(root + "/etc/hosts", hosts));
  return write_file(root + "/etc/hostname", node_name(node) + "\n");
}

}  // namespace

Result<void> enter_node_root(const Record& record, uint32_t node) {
  auto mounts = TRY(proc::parse_mountinfo(TRY(sys::read_text("/proc/self/mountinfo"))));
  std::string cgroup2 = TRY(cgroup2_mount_point());
  std::string data = node_data_directory(record.lab, node);
  std::string root = data + "/root";
  ::umask(022);
  TRY(sys::make_all_mounts_private());
  TRY(make_directories(root));
  TRY(mount_overlay("/", data + "/mount0", root));
  add_other_file_systems(mounts, data, root);
  TRY(add_kernel_interfaces(root, cgroup2, mounts));
  TRY(add_devices(root));
  TRY(add_own_directories(record, node, root));
  TRY(name_node(record, node, root));
  // The other nodes' files lie here.
  TRY(sys::mount_new("tmpfs", root + kDataRoot, MS_NOSUID | MS_NODEV, "mode=755,size=4k"));
  return sys::switch_root(root);
}

}  // namespace godwit::lab
