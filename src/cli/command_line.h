// The command line as a tree of commands, each with options, a help text with examples and an action.
//
// A thin face of CLI11, which is included in one source file only (it is slow to compile, and its exceptions stop
// there). Variables given to options must live until run() has returned.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace godwit::cli {

class Command {
 public:
  struct Node;  // in command_line.cc
  explicit Command(Node* node) : node_(node) {}

  Command command(const std::string& name, const std::string& help);
  // `names`: CLI11's form, e.g. "-d,--detach".
  Command& flag(const std::string& names, bool& value, const std::string& help);
  Command& option(const std::string& names, std::string& value, const std::string& placeholder,
                  const std::string& help);
  Command& required_option(const std::string& names, std::string& value, const std::string& placeholder,
                           const std::string& help);
  Command& repeated(const std::string& names, std::vector<std::string>& values, const std::string& placeholder,
                    const std::string& help);
  Command& choice(const std::string& names, std::string& value, const std::vector<std::string>& choices,
                  const std::string& help);
  // A time such as 90s, 1.5s, 250ms or 2m; a bare number counts seconds.
  Command& duration(const std::string& names, double& milliseconds, const std::string& help);
  Command& number(const std::string& names, unsigned& value, unsigned lowest, unsigned highest,
                  const std::string& help);
  Command& number_argument(const std::string& name, unsigned& value, unsigned lowest, unsigned highest,
                           const std::string& help);
  // Not shown in the help: for tests.
  Command& hidden_option(const std::string& names, std::string& value);
  Command& argument(const std::string& name, std::string& value, const std::string& help);
  Command& optional_argument(const std::string& name, std::string& value, const std::string& help);
  Command& arguments(const std::string& name, std::vector<std::string>& values, const std::string& help);
  // Everything after this command's arguments, or after "--": taken as it stands, never looked at for options.
  Command& verbatim(const std::string& name, std::vector<std::string>& values, const std::string& help);
  Command& examples(const std::string& text);
  // What the command does; its result is the exit code.
  Command& action(std::function<int()> body);

 private:
  Node* node_;
};

class CommandLine {
 public:
  CommandLine(const std::string& name, const std::string& help);
  ~CommandLine();
  Command root();
  // Parses and runs the action asked for. Prints help on stdout, usage errors as one sentence on stderr (exit code 2).
  int run(const std::vector<std::string>& arguments);

 private:
  std::unique_ptr<Command::Node> node_;
};

}  // namespace godwit::cli
