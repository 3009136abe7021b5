// Writes one JSON value, on one line. Keys come out in the order they are written; numbers that are not finite become
// null; strings that are not valid UTF-8 have each bad byte replaced by U+FFFD. Source: RFC 8259.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::cli {

class JsonWriter {
 public:
  JsonWriter& object() { return open('{'); }
  JsonWriter& array() { return open('['); }
  // Closes what was opened last.
  JsonWriter& close();
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(double number);
  JsonWriter& value(bool truth) { return raw(truth ? "true" : "false"); }
  template <std::integral Int>
  JsonWriter& value(Int number) {
    return raw(std::to_string(number));
  }
  // `text` is JSON already.
  JsonWriter& raw(std::string_view text);

  template <class Value>
  JsonWriter& field(std::string_view name, const Value& what) {
    return key(name).value(what);
  }

  const std::string& text() const { return text_; }

 private:
  JsonWriter& open(char bracket);
  void separate();

  std::string text_;
  std::vector<char> open_;
  bool first_ = true;
  bool after_key_ = false;
};

}  // namespace godwit::cli
