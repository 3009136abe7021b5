#include "lab/record.h"

#include <charconv>
#include <string_view>

#include "lab/lab.h"
#include "sys/durable_file.h"
#include "sys/text_file.h"

namespace godwit::lab {
namespace {

std::string record_path(const std::string& lab) { return run_directory(lab) + "/lab"; }

// The value after "key=" on a line of its own; empty when there is none.
std::string value_of(std::string_view text, const std::string& key) {
  std::string wanted = key + "=";
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.starts_with(wanted)) return std::string(line.substr(wanted.size()));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
}

uint32_t number_of(std::string_view text, const std::string& key) {
  std::string value = value_of(text, key);
  uint32_t number = 0;
  std::from_chars(value.data(), value.data() + value.size(), number);
  return number;
}

std::string address_in(const Record& record, uint32_t last) {
  return "10.77." + std::to_string(record.number) + "." + std::to_string(last);
}

}  // namespace

Result<Record> read_record(const std::string& lab) {
  std::string text = TRY(sys::read_text(record_path(lab)).within("lab " + lab));
  Record record;
  record.lab = lab;
  record.number = number_of(text, "number");
  record.nodes = number_of(text, "nodes");
  record.link = value_of(text, "link");
  record.routed = number_of(text, "routed") != 0;
  record.fault = value_of(text, "fault");
  record.debug = number_of(text, "debug") != 0;
  record.programs = value_of(text, "programs");
  record.complete = number_of(text, "complete") != 0;
  return record;
}

Result<void> write_record(const Record& record) {
  std::string text;
  auto add = [&text](const char* key, const std::string& value) { text += std::string(key) + "=" + value + "\n"; };
  add("number", std::to_string(record.number));
  add("nodes", std::to_string(record.nodes));
  add("link", record.link);
  add("routed", record.routed ? "1" : "0");
  add("fault", record.fault);
  add("debug", record.debug ? "1" : "0");
  add("programs", record.programs);
  add("complete", record.complete ? "1" : "0");
  return sys::replace_file(record_path(record.lab), text, 0644);
}

std::string node_name(uint32_t node) { return "node" + std::to_string(node); }

uint32_t node_number(const Record& record, const std::string& name) {
  for (uint32_t node = 1; node <= record.nodes; ++node) {
    if (node_name(node) == name) return node;
  }
  return 0;
}

uint32_t subnet_bits(const Record& record) { return record.routed ? 30 : 24; }

std::string node_address(const Record& record, uint32_t node) {
  return address_in(record, record.routed ? 4 * (node - 1) + 2 : node);
}

std::string router_address(const Record& record, uint32_t node) { return address_in(record, 4 * (node - 1) + 1); }

std::string run_directory(const std::string& lab) { return std::string(kLabDirectory) + "/" + lab; }
std::string node_run_directory(const std::string& lab, uint32_t node) {
  return run_directory(lab) + "/" + node_name(node);
}
std::string data_directory(const std::string& lab) { return std::string(kDataRoot) + "/" + lab; }
std::string node_data_directory(const std::string& lab, uint32_t node) {
  return data_directory(lab) + "/" + node_name(node);
}
std::string shared_directory(const std::string& lab) { return data_directory(lab) + "/shared"; }
std::string authority_directory(const std::string& lab) { return data_directory(lab) + "/authority"; }

}  // namespace godwit::lab
