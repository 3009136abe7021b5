#include "cli/command_line.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <cstdio>
#include <set>

#include "cli/duration.h"
#include "cli/exit_code.h"

namespace godwit::cli {

struct Command::Node {
  CLI::App* app = nullptr;
  std::unique_ptr<CLI::App> owned;  // the root's
  std::vector<std::unique_ptr<Node>> children;
  std::set<std::string> valued;  // option names that are followed by a value
  size_t arguments = 0;          // before the verbatim part
  std::vector<std::string>* verbatim = nullptr;
  std::string verbatim_name;
  std::function<int()> action;
};

namespace {

void remember_names(Command::Node& node, const std::string& names) {
  for (size_t at = 0; at <= names.size();) {
    size_t end = std::min(names.find(',', at), names.size());
    node.valued.insert(names.substr(at, end - at));
    at = end + 1;
  }
}

// Where the verbatim part of `words` (after the command's own name) begins.
size_t verbatim_begin(const Command::Node& node, const std::vector<std::string>& words, size_t from) {
  size_t seen = 0;
  for (size_t at = from; at < words.size(); ++at) {
    const std::string& word = words[at];
    if (word == "--") return at;
    if (word.size() > 1 && word[0] == '-') {
      // "--on node2" takes the next word along; "--on=node2" and flags do not
      if (node.valued.contains(word)) ++at;
    } else if (++seen > node.arguments) {
      return at;
    }
  }
  return words.size();
}

// The command that `words` name, and the index after its name.
std::pair<Command::Node*, size_t> find_command(Command::Node* node, const std::vector<std::string>& words) {
  size_t at = 0;
  while (at < words.size() && !node->children.empty()) {
    if (node->valued.contains(words[at])) {
      at += 2;
      continue;
    }
    if (words[at].starts_with("-")) {
      ++at;
      continue;
    }
    auto named = std::ranges::find_if(node->children, [&](const auto& c) { return c->app->get_name() == words[at]; });
    ++at;
    if (named == node->children.end()) return {nullptr, at};
    node = named->get();
  }
  return {node, std::min(at, words.size())};
}

}  // namespace

Command Command::command(const std::string& name, const std::string& help) {
  auto child = std::make_unique<Node>();
  child->app = node_->app->add_subcommand(name, help);
  node_->app->require_subcommand(1);
  child->valued = node_->app->get_parent() == nullptr ? std::set<std::string>{} : node_->valued;
  node_->children.push_back(std::move(child));
  return Command(node_->children.back().get());
}

Command& Command::flag(const std::string& names, bool& value, const std::string& help) {
  node_->app->add_flag(names, value, help);
  return *this;
}

Command& Command::option(const std::string& names, std::string& value, const std::string& placeholder,
                         const std::string& help) {
  remember_names(*node_, names);
  node_->app->add_option(names, value, help)->type_name(placeholder);
  return *this;
}

Command& Command::required_option(const std::string& names, std::string& value, const std::string& placeholder,
                                  const std::string& help) {
  remember_names(*node_, names);
  node_->app->add_option(names, value, help)->type_name(placeholder)->required();
  return *this;
}

Command& Command::repeated(const std::string& names, std::vector<std::string>& values, const std::string& placeholder,
                           const std::string& help) {
  remember_names(*node_, names);
  node_->app->add_option(names, values, help)
      ->type_name(placeholder)
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  return *this;
}

Command& Command::choice(const std::string& names, std::string& value, const std::vector<std::string>& choices,
                         const std::string& help) {
  remember_names(*node_, names);
  std::string all;
  for (const std::string& one : choices) all += (all.empty() ? "" : "|") + one;
  node_->app->add_option(names, value, help)
      ->type_name(all)
      ->check(CLI::Validator(
          [choices, all](std::string& given) {
            return std::ranges::find(choices, given) != choices.end() ? "" : given + " is none of " + all;
          },
          ""));
  return *this;
}

Command& Command::duration(const std::string& names, double& milliseconds, const std::string& help) {
  remember_names(*node_, names);
  node_->app
      ->add_option_function<std::string>(
          names,
          [&milliseconds, names](const std::string& text) {
            auto value = parse_duration_ms(text);
            if (!value) throw CLI::ValidationError(names, value.error().context);
            milliseconds = *value;
          },
          help)
      ->type_name("TIME");
  return *this;
}

Command& Command::number(const std::string& names, unsigned& value, unsigned lowest, unsigned highest,
                         const std::string& help) {
  remember_names(*node_, names);
  node_->app->add_option(names, value, help)->type_name("N")->check(CLI::Range(lowest, highest).description(""));
  return *this;
}

Command& Command::number_argument(const std::string& name, unsigned& value, unsigned lowest, unsigned highest,
                                  const std::string& help) {
  ++node_->arguments;
  node_->app->add_option(name, value, help)
      ->required()
      ->type_name("")
      ->check(CLI::Range(lowest, highest).description(""));
  return *this;
}

Command& Command::hidden_option(const std::string& names, std::string& value) {
  remember_names(*node_, names);
  node_->app->add_option(names, value)->group("");
  return *this;
}

Command& Command::argument(const std::string& name, std::string& value, const std::string& help) {
  ++node_->arguments;
  node_->app->add_option(name, value, help)->required()->type_name("");
  return *this;
}

Command& Command::optional_argument(const std::string& name, std::string& value, const std::string& help) {
  ++node_->arguments;
  node_->app->add_option(name, value, help)->type_name("");
  return *this;
}

Command& Command::arguments(const std::string& name, std::vector<std::string>& values, const std::string& help) {
  node_->app->add_option(name, values, help)->required()->type_name("");
  return *this;
}

Command& Command::verbatim(const std::string& name, std::vector<std::string>& values, const std::string& help) {
  node_->verbatim = &values;
  node_->verbatim_name = name;
  // Filled by CommandLine::run; named here only so that the help shows it.
  node_->app->add_option(name, values, help)->type_name("");
  return *this;
}

Command& Command::examples(const std::string& text) {
  node_->app->footer("Examples:\n" + text);
  return *this;
}

Command& Command::action(std::function<int()> body) {
  node_->action = std::move(body);
  return *this;
}

CommandLine::CommandLine(const std::string& name, const std::string& help) : node_(std::make_unique<Command::Node>()) {
  node_->owned = std::make_unique<CLI::App>(help, name);
  node_->app = node_->owned.get();
  node_->app->get_formatter()->column_width(34);
}

CommandLine::~CommandLine() = default;

Command CommandLine::root() { return Command(node_.get()); }

int CommandLine::run(const std::vector<std::string>& arguments) {
  auto [command, own] = find_command(node_.get(), arguments);
  std::vector<std::string> head = arguments, tail;
  if (command != nullptr && command->verbatim != nullptr) {
    size_t begin = verbatim_begin(*command, arguments, own);
    head.resize(begin);
    if (begin < arguments.size() && arguments[begin] == "--") ++begin;
    tail.assign(arguments.begin() + static_cast<ptrdiff_t>(std::min(begin, arguments.size())), arguments.end());
  }
  try {
    node_->app->parse(std::vector<std::string>(head.rbegin(), head.rend()));
    if (command == nullptr || !command->action) throw CLI::RequiredError("A command");
    if (command->verbatim != nullptr && tail.empty()) throw CLI::RequiredError(command->verbatim_name);
  } catch (const CLI::Success& success) {
    return node_->app->exit(success);
  } catch (const CLI::ParseError& problem) {
    std::string path = command != nullptr && command != node_.get() ? " " + command->app->get_name() : "";
    if (!path.empty() && command->app->get_parent() != node_->app)
      path = " " + command->app->get_parent()->get_name() + path;
    fprintf(stderr, "godwit%s: %s. `godwit%s --help` shows how it is used.\n", path.c_str(), problem.what(),
            path.c_str());
    return kUsage;
  }
  if (command->verbatim != nullptr) *command->verbatim = tail;
  return command->action();
}

}  // namespace godwit::cli
