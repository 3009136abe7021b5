#include "address_space/layout.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <charconv>
#include <string_view>

#include "address_space/protection_keys.h"
#include "sys/errno.h"
#include "sys/file.h"
#include "sys/huge_page_pool.h"
#include "sys/text_file.h"

namespace godwit::address_space {

namespace {

std::string proc_path(pid_t pid, std::string_view name) {
  return "/proc/" + std::to_string(pid) + "/" + std::string(name);
}

struct Mnemonic {
  std::string_view letters;
  uint64_t advice;
};
constexpr Mnemonic kMnemonics[] = {{"lo", kLocked},    {"dc", kDontFork},    {"dd", kDontDump},  {"wf", kWipeOnFork},
                                   {"hg", kHugePages}, {"nh", kNoHugePages}, {"mg", kMergeable}, {"sr", kSequential},
                                   {"rr", kRandom},    {"mw", kMayWrite}};

uint64_t advice_of(const proc::MapEntry& entry) {
  uint64_t advice = 0;
  for (const Mnemonic& mnemonic : kMnemonics) {
    if (entry.has_flag(mnemonic.letters)) advice |= mnemonic.advice;
  }
  if (entry.shared && entry.write) advice |= kMayWrite;
  return advice;
}

uint32_t protection_of(const proc::MapEntry& entry) {
  return static_cast<uint32_t>((entry.read ? PROT_READ : 0) | (entry.write ? PROT_WRITE : 0) |
                               (entry.execute ? PROT_EXEC : 0));
}

void refuse(std::vector<worker::Refusal>& refusals, pid_t pid, const proc::MapEntry& entry, std::string code,
            std::string what, std::string remedy) {
  worker::Refusal refusal;
  refusal.set_code(std::move(code));
  refusal.set_pid(pid);
  refusal.set_fd(-1);
  refusal.set_start(entry.start);
  refusal.set_end(entry.end);
  refusal.set_what(std::move(what));
  refusal.set_remedy(std::move(remedy));
  refusals.push_back(std::move(refusal));
}

// The numbers of /proc/PID/stat behind the name, the first being field 3 (state) at index 0.
std::vector<uint64_t> stat_numbers(std::string_view text) {
  std::vector<uint64_t> numbers;
  size_t at = text.rfind(')');
  if (at == std::string_view::npos) return numbers;
  text.remove_prefix(at + 2);
  while (!text.empty()) {
    size_t end = std::min(text.find(' '), text.size());
    uint64_t number = 0;
    std::from_chars(text.data(), text.data() + end, number);
    numbers.push_back(number);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return numbers;
}

Result<void> add_limits(pid_t host_pid, image::AddressSpace& into) {
  std::string text = TRY(sys::read_text(proc_path(host_pid, "stat")));
  auto numbers = stat_numbers(text);
  auto field = [&numbers](size_t number) { return numbers[number - 3]; };  // numbered as in proc_pid_stat(5)
  if (numbers.size() < 50) return error(ErrorKind::corrupt, "short /proc/PID/stat");
  into.set_start_code(field(26));
  into.set_end_code(field(27));
  into.set_start_stack(field(28));
  into.set_start_data(field(45));
  into.set_end_data(field(46));
  into.set_start_brk(field(47));
  into.set_arg_start(field(48));
  into.set_arg_end(field(49));
  into.set_env_start(field(50));
  into.set_env_end(field(51));
  into.set_auxv(TRY(sys::read_text(proc_path(host_pid, "auxv"))));
  return {};
}

constexpr std::string_view kPoolName = "/anon_hugepage";  // MAP_ANONYMOUS | MAP_HUGETLB, fs/hugetlbfs/inode.c

bool is_shared_memory(const proc::MapEntry& entry) {
  return entry.name.starts_with("/memfd:") || entry.name.starts_with("/SYSV") ||
         (entry.shared && (entry.name == "/dev/zero (deleted)" || entry.name.starts_with("[anon_shmem:") ||
                           entry.name.starts_with(kPoolName)));
}

Result<UniqueFd> open_mapped(pid_t host_pid, const proc::MapEntry& entry) {
  char range[64];
  std::snprintf(range, sizeof range, "map_files/%lx-%lx", entry.start, entry.end);
  return sys::open_path(proc_path(host_pid, range), O_RDONLY);
}

}  // namespace

Result<image::AddressSpace> LayoutCapture::plan(pid_t host_pid, pid_t pid, std::vector<worker::Refusal>& refusals) {
  std::vector<proc::MapEntry> entries;
  TRY(sys::read_lines(proc_path(host_pid, "smaps"),
                      [&](std::string_view lines) { return proc::parse_maps(lines, entries); }));
  proc::make_disjoint(entries);
  std::erase_if(planned_, [pid](const auto& known) { return known.first.first == pid; });
  for (const proc::MapEntry& entry : entries) planned_[{pid, entry.end}] = entry;
  UniqueFd executable = TRY(sys::open_path(proc_path(host_pid, "exe"), O_RDONLY));
  std::string link = TRY(sys::link_of(executable.get()));  // it may have executed another by now
  executables_[pid] = TRY(files_.add(executable.get(), link, {.executable = true}));
  return capture(host_pid, pid, std::move(entries), refusals);
}

Result<image::AddressSpace> LayoutCapture::full(pid_t host_pid, pid_t pid, std::vector<worker::Refusal>& refusals) {
  std::string text = TRY(sys::read_text(proc_path(host_pid, "maps")));
  std::vector<proc::MapEntry> entries = TRY(proc::parse_maps(text));
  for (proc::MapEntry& entry : entries) {
    // A mapping that grew, shrank or was split keeps the flags of the planned one that it lies in or touches.
    auto planned = planned_.lower_bound({pid, entry.start + 1});
    bool overlaps = planned != planned_.end() && planned->first.first == pid && planned->second.start < entry.end;
    if (!overlaps) continue;
    entry.vm_flags = planned->second.vm_flags;
    entry.protection_key = planned->second.protection_key;
  }
  if (!executables_.contains(pid)) return plan(host_pid, pid, refusals);  // it came after the plan
  return capture(host_pid, pid, std::move(entries), refusals);
}

Result<image::AddressSpace> LayoutCapture::capture(pid_t host_pid, pid_t pid, std::vector<proc::MapEntry> entries,
                                                   std::vector<worker::Refusal>& refusals) {
  image::AddressSpace space;
  TRY(add_limits(host_pid, space));
  space.set_executable_file(executables_.at(pid));
  for (const proc::MapEntry& entry : entries) {
    if (entry.start >= kAddressLimit) continue;
    TRY(add_mapping(host_pid, pid, entry, space, refusals));
  }
  space.set_protection_keys(keys_in_use(space));
  return space;
}

Result<uint32_t> LayoutCapture::file_of(pid_t host_pid, const proc::MapEntry& entry, bool written) {
  FileKey key{entry.device_major, entry.device_minor, entry.inode, written};
  auto known = known_files_.find(key);
  if (known != known_files_.end()) return known->second;
  UniqueFd fd = TRY(open_mapped(host_pid, entry));
  files::FileUse use{.written = written, .mapped_shared = written, .executable = entry.execute};
  uint32_t id = TRY(files_.add(fd.get(), entry.name, use));
  known_files_[key] = id;
  return id;
}

Result<uint64_t> LayoutCapture::page_bytes_of(pid_t host_pid, const proc::MapEntry& entry) {
  uint64_t& known = page_bytes_[{entry.device_major, entry.device_minor}];
  if (known == 0) known = sys::pool_page_bytes(TRY(open_mapped(host_pid, entry)).get());
  return known;
}

Result<void> LayoutCapture::add_mapping(pid_t host_pid, pid_t pid, const proc::MapEntry& entry,
                                        image::AddressSpace& into, std::vector<worker::Refusal>& refusals) {
  auto unsupported = [&](std::string code, std::string what, std::string remedy) {
    refuse(refusals, pid, entry, std::move(code), std::move(what), std::move(remedy));
    return Result<void>();
  };
  image::Mapping mapping;
  mapping.set_start(entry.start);
  mapping.set_end(entry.end);
  mapping.set_protection(protection_of(entry));
  mapping.set_offset(entry.offset);
  mapping.set_advice(advice_of(entry));
  mapping.set_protection_key(entry.protection_key);
  uint32_t flags = entry.shared ? MAP_SHARED : MAP_PRIVATE;
  if (entry.has_flag("gd")) flags |= MAP_GROWSDOWN;
  if (entry.has_flag("nr")) flags |= MAP_NORESERVE;
  if (entry.name == "[vdso]") {
    mapping.set_kind(image::Mapping::VDSO);
  } else if (entry.name.starts_with("[vvar")) {
    mapping.set_kind(image::Mapping::VVAR);
  } else if (entry.has_flag("io") || entry.has_flag("pf")) {
    return unsupported("memory.device", "device memory (" + entry.name + ")", "close the device before the move");
  } else if (entry.name == "[uprobes]") {
    return unsupported("memory.uprobes", "a probe of the kernel's tracing is attached", "remove the uprobe");
  } else if (is_shared_memory(entry)) {
    mapping.set_kind(image::Mapping::SHARED_MEMORY);
    mapping.set_object(TRY(shared_.add_mapping(host_pid, entry.start, entry.end, entry.name)));
    mapping.set_page_bytes(shared_.page_bytes_of(mapping.object()));
  } else if (entry.name.starts_with(kPoolName)) {
    mapping.set_kind(image::Mapping::ANONYMOUS);
    flags |= MAP_ANONYMOUS;
    mapping.set_offset(0);
    mapping.set_page_bytes(TRY(page_bytes_of(host_pid, entry)));
  } else if (entry.name.starts_with("anon_inode:")) {
    return unsupported("memory.kernel_object", "memory of a kernel object (" + entry.name + ")",
                       "have the program close it before the move");
  } else if (entry.inode != 0 && entry.name.starts_with("/") && entry.name != "/dev/zero") {
    bool written = entry.shared && (mapping.advice() & kMayWrite) != 0;
    uint32_t id = TRY(file_of(host_pid, entry, written));
    const image::File& file = files_.get(id);
    bool in_pool = file.page_bytes() != 0;
    mapping.set_kind(in_pool ? image::Mapping::SHARED_MEMORY : image::Mapping::FILE);
    mapping.set_object(in_pool ? TRY(shared_.add_pool_file(TRY(files_.readable_fd(id)), file)) : id);
    mapping.set_page_bytes(file.page_bytes());
  } else {
    mapping.set_kind(image::Mapping::ANONYMOUS);
    flags |= MAP_ANONYMOUS;
    mapping.set_offset(0);
    if (!entry.name.starts_with("/")) mapping.set_name(entry.name);
  }
  mapping.set_flags(flags);
  *into.add_mappings() = std::move(mapping);
  return {};
}

}  // namespace godwit::address_space
