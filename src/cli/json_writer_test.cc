#include "cli/json_writer.h"

#include <gtest/gtest.h>

namespace godwit::cli {
namespace {

TEST(JsonWriter, NestsAndSeparates) {
  JsonWriter json;
  json.object()
      .field("a", 1)
      .key("list")
      .array()
      .value("x")
      .object()
      .close()
      .value(true)
      .close()
      .field("b", 2.5)
      .close();
  EXPECT_EQ(json.text(), R"({"a":1,"list":["x",{},true],"b":2.5})");
}

TEST(JsonWriter, QuotesWhatJsonForbidsInStrings) {
  JsonWriter json;
  json.value(std::string_view("a\"\\\n\t\x01\x1b"));
  EXPECT_EQ(json.text(), R"("a\"\\\n\t\u0001\u001b")");
}

TEST(JsonWriter, ReplacesBytesThatAreNoUtf8) {
  JsonWriter json;
  json.value("\xc3\xa9\xff\xc0\xaf\xed\xa0\x80");
  EXPECT_EQ(json.text(),
            "\"\xc3\xa9"
            R"(\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd")");
}

TEST(JsonWriter, NumbersKeepSixDecimals) {
  JsonWriter json;
  json.array().value(0.1 + 0.2).value(1.0 / 0.0).value(uint64_t{18446744073709551615u}).close();
  EXPECT_EQ(json.text(), "[0.3,null,18446744073709551615]");
}

}  // namespace
}  // namespace godwit::cli
