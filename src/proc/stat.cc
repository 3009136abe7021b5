#include "proc/stat.h"

#include <array>
#include <charconv>

namespace godwit::proc {

namespace {

constexpr size_t kFields = 53;  // numbered from 1 as in the man page; 0 is not used

// The fields after the name, which alone may hold spaces and parentheses.
Result<std::array<std::string_view, kFields>> split_fields(std::string_view text) {
  std::array<std::string_view, kFields> fields{};
  size_t open = text.find('(');
  size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open || open < 2) {
    return error(ErrorKind::corrupt, "stat without a name");
  }
  fields[1] = text.substr(0, open - 1);
  fields[2] = text.substr(open + 1, close - open - 1);
  std::string_view rest = text.substr(close + 1);
  for (size_t field = 3; field < kFields; ++field) {
    size_t begin = rest.find_first_not_of(" \n");
    if (begin == std::string_view::npos) return error(ErrorKind::corrupt, "stat ends early");
    rest.remove_prefix(begin);
    fields[field] = rest.substr(0, rest.find_first_of(" \n"));
    rest.remove_prefix(fields[field].size());
  }
  return fields;
}

class Reader {
 public:
  explicit Reader(const std::array<std::string_view, kFields>& fields) : fields_(fields) {}
  template <class Int>
  void number(size_t field, Int& into) {
    std::string_view text = fields_[field];
    auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), into);
    good_ = good_ && failed == std::errc() && rest == text.data() + text.size();
  }
  bool good() const { return good_; }

 private:
  const std::array<std::string_view, kFields>& fields_;
  bool good_ = true;
};

}  // namespace

Result<Stat> parse_stat(std::string_view text) {
  auto fields = TRY(split_fields(text));
  Stat stat;
  stat.name = fields[2];
  stat.state = fields[3].front();
  Reader reader(fields);
  reader.number(1, stat.pid);
  reader.number(4, stat.parent);
  reader.number(5, stat.process_group);
  reader.number(6, stat.session);
  reader.number(7, stat.terminal);
  reader.number(8, stat.foreground_group);
  reader.number(9, stat.flags);
  reader.number(18, stat.priority);
  reader.number(19, stat.nice);
  reader.number(20, stat.threads);
  reader.number(22, stat.start_time_ticks);
  reader.number(26, stat.start_code);
  reader.number(27, stat.end_code);
  reader.number(28, stat.start_stack);
  reader.number(38, stat.exit_signal);
  reader.number(45, stat.start_data);
  reader.number(46, stat.end_data);
  reader.number(47, stat.start_brk);
  reader.number(48, stat.arg_start);
  reader.number(49, stat.arg_end);
  reader.number(50, stat.env_start);
  reader.number(51, stat.env_end);
  reader.number(52, stat.exit_code);
  if (!reader.good()) return error(ErrorKind::corrupt, "stat holds something that is not a number");
  return stat;
}

}  // namespace godwit::proc
