#include "cli/json_writer.h"

#include <fmt/format.h>

#include <cmath>

#include "base/result.h"

namespace godwit::cli {

namespace {

// Length of the valid UTF-8 sequence at the front of `text`, or 0. Source: RFC 3629, section 4.
size_t sequence_length(std::string_view text) {
  auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
  auto tail = [&](size_t at) { return at < text.size() && (byte(at) & 0xc0) == 0x80; };
  if (byte(0) < 0x80) return 1;
  if (byte(0) >= 0xc2 && byte(0) <= 0xdf) return tail(1) ? 2 : 0;
  if (byte(0) >= 0xe0 && byte(0) <= 0xef) {
    if (!tail(1) || !tail(2)) return 0;
    bool overlong = byte(0) == 0xe0 && byte(1) < 0xa0, surrogate = byte(0) == 0xed && byte(1) > 0x9f;
    return overlong || surrogate ? 0 : 3;
  }
  if (byte(0) >= 0xf0 && byte(0) <= 0xf4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    bool overlong = byte(0) == 0xf0 && byte(1) < 0x90, beyond = byte(0) == 0xf4 && byte(1) > 0x8f;
    return overlong || beyond ? 0 : 4;
  }
  return 0;
}

void append_quoted(std::string& into, std::string_view text) {
  into += '"';
  while (!text.empty()) {
    size_t length = sequence_length(text);
    char c = text.front();
    if (length == 0) {
      into += "\\ufffd";
      length = 1;
    } else if (c == '"' || c == '\\') {
      into += '\\';
      into += c;
    } else if (c == '\n') {
      into += "\\n";
    } else if (c == '\t') {
      into += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      into += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      into.append(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  into += '"';
}

}  // namespace

void JsonWriter::separate() {
  if (!first_ && !after_key_) text_ += ',';
  first_ = false;
  after_key_ = false;
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  text_ += bracket;
  open_.push_back(bracket);
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::close() {
  CHECK(!open_.empty());
  text_ += open_.back() == '{' ? '}' : ']';
  open_.pop_back();
  first_ = false;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  append_quoted(text_, name);
  text_ += ':';
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  separate();
  append_quoted(text_, text);
  return *this;
}

JsonWriter& JsonWriter::value(double number) {
  if (!std::isfinite(number)) return raw("null");
  return raw(fmt::format("{}", std::round(number * 1e6) / 1e6));
}

JsonWriter& JsonWriter::raw(std::string_view text) {
  separate();
  text_.append(text);
  return *this;
}

}  // namespace godwit::cli
