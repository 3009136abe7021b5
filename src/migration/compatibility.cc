#include "migration/compatibility.h"

#include <cpuid.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include <cstring>
#include <map>

#include "proc/maps.h"
#include "sys/hash.h"
#include "sys/text_file.h"

namespace godwit::migration {

namespace {

uint64_t extended_features() {  // XCR0
  uint32_t low = 0;
  uint32_t high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

uint32_t extended_state_size() {
  uint32_t a = 0, b = 0, c = 0, d = 0;
  __cpuid_count(0xd, 0, a, b, c, d);
  return b;  // for the features that are switched on in XCR0
}

// The instruction set bits a program may have based decisions on: leaf 1 (ecx, edx) and leaf 7 (ebx, ecx, edx).
std::string instruction_sets() {
  uint32_t words[5] = {};
  uint32_t a = 0, b = 0;
  __cpuid(1, a, b, words[0], words[1]);
  words[0] &= ~(1u << 27);  // OSXSAVE says what the kernel does, XCR0 tells it better
  __cpuid_count(7, 0, a, words[2], words[3], words[4]);
  return std::string(reinterpret_cast<const char*>(words), sizeof words);
}

worker::Refusal refusal(std::string code, std::string what, std::string remedy) {
  worker::Refusal refusal;
  refusal.set_code(std::move(code));
  refusal.set_fd(-1);
  refusal.set_what(std::move(what));
  refusal.set_remedy(std::move(remedy));
  return refusal;
}

}  // namespace

Result<void> describe_this_node(wire::Offer& offer) {
  utsname names;
  CHECK(::uname(&names) == 0);
  offer.set_protocol(kProtocolVersion);
  offer.set_kernel_release(names.release);
  offer.set_boot_id(TRY(sys::read_text("/proc/sys/kernel/random/boot_id")));
  std::string text = TRY(sys::read_text("/proc/self/maps"));
  for (const proc::MapEntry& entry : TRY(proc::parse_maps(text))) {
    if (entry.name == "[vdso]") {
      offer.set_vdso_size(entry.end - entry.start);
      auto* begin = reinterpret_cast<const std::byte*>(entry.start);
      offer.set_vdso_sha256(sys::sha256(std::span(begin, entry.end - entry.start)));
    }
    if (entry.name.starts_with("[vvar")) offer.set_vvar_size(offer.vvar_size() + entry.end - entry.start);
  }
  offer.set_xfeatures(extended_features());
  offer.set_xsave_size(extended_state_size());
  offer.set_cpuid(instruction_sets());
  return {};
}

std::vector<worker::Refusal> incompatibilities(const wire::Offer& here, const wire::Offer& source) {
  std::vector<worker::Refusal> found;
  if (here.protocol() != source.protocol()) {
    found.push_back(
        refusal("node.protocol", "the two nodes run different versions of godwit", "install the same version on both"));
  }
  bool same_vdso = here.vdso_sha256() == source.vdso_sha256() && here.vvar_size() == source.vvar_size();
  if (!same_vdso) {
    found.push_back(refusal(
        "node.vdso", "the kernels' vDSO differ (" + source.kernel_release() + " and " + here.kernel_release() + ")",
        "choose a destination with the same kernel"));
  }
  if ((source.xfeatures() & ~here.xfeatures()) != 0 || source.xsave_size() > here.xsave_size()) {
    found.push_back(refusal("node.processor_state", "the destination's processor lacks register state of the source's",
                            "choose a destination with the same or a newer processor"));
  }
  bool comparable = source.cpuid().size() == here.cpuid().size();
  for (size_t i = 0; comparable && i < source.cpuid().size(); ++i) {
    if ((source.cpuid()[i] & ~here.cpuid()[i]) == 0) continue;
    found.push_back(refusal("node.instruction_set", "the destination's processor lacks instructions of the source's",
                            "choose a destination with the same or a newer processor"));
    break;
  }
  return found;
}

namespace {

std::string size_in_words(uint64_t bytes) {
  constexpr uint64_t kMib = 1 << 20;
  constexpr uint64_t kGib = 1 << 30;
  if (bytes % kGib == 0) return std::to_string(bytes / kGib) + " GiB";
  return bytes % kMib == 0 ? std::to_string(bytes / kMib) + " MiB" : std::to_string(bytes / 1024) + " KiB";
}

// Pages by their size. A mapping reserves its pages when it is made; those of a private one that did not ask for that
// (MAP_NORESERVE) are counted when they come.
std::map<uint64_t, uint64_t> pool_demand(const image::LogicalHost& plan, const std::set<uint32_t>& in_place) {
  std::map<uint64_t, uint64_t> demand;
  for (const image::Process& process : plan.processes()) {
    for (const image::Mapping& mapping : process.address_space().mappings()) {
      bool reserves = (mapping.flags() & MAP_TYPE) == MAP_PRIVATE && (mapping.flags() & MAP_NORESERVE) == 0;
      if (mapping.page_bytes() == 0 || !reserves) continue;
      demand[mapping.page_bytes()] += (mapping.end() - mapping.start()) / mapping.page_bytes();
    }
  }
  for (const image::SharedMemory& object : plan.shared_memory()) {
    if (object.page_bytes() != 0 && !in_place.contains(object.file()))
      demand[object.page_bytes()] += object.size() / object.page_bytes();
  }
  return demand;
}

}  // namespace

std::vector<worker::Refusal> pool_shortages(const image::LogicalHost& plan, const std::set<uint32_t>& in_place,
                                            const PoolPagesLeft& left) {
  std::vector<worker::Refusal> found;
  for (auto [page_bytes, wanted] : pool_demand(plan, in_place)) {
    auto there = left(page_bytes);
    std::string size = size_in_words(page_bytes);
    if (!there) {
      found.push_back(refusal("memory.hugetlb",
                              "memory in huge pages of " + size + ", which the destination's kernel does not have",
                              "choose another destination"));
    } else if (*there < wanted) {
      found.push_back(refusal("memory.hugetlb",
                              std::to_string(wanted) + " huge pages of " + size + ", of which the destination has " +
                                  std::to_string(*there) + " left",
                              "raise there the sysctl vm.nr_hugepages, or /sys/kernel/mm/hugepages/hugepages-" +
                                  std::to_string(page_bytes / 1024) + "kB/nr_hugepages"));
    }
  }
  return found;
}

}  // namespace godwit::migration
