// The options of a program (those of one call are weft::Options): each is declared once, bound to the variable that holds its
// value and its default, and may be set by (strongest first) a flag, the environment, a configuration file. Who set it is kept,
// so that `weft config` can show it.
//
//   ProgramOptions options("weft-worker", "worker", "Run tasks for a scheduler.");
//   options.add("memory-limit", settings.memory_limit, "most memory for values");
//   if (auto code = options.start(argc, argv)) return *code;       // --help, --version or a mistake: already printed
//
// The option `memory-limit` of section `worker` is the flag --memory-limit, the variable WEFT_WORKER__MEMORY_LIMIT (for
// workers only; the double underscore keeps clear of what Kubernetes injects) or WEFT_MEMORY_LIMIT (for all programs), and
// in a file `memory-limit = ...` below `[worker]`, or before any section if every program has it. Deliberately absent:
// abbreviations.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/option_values.h"
#include "common/result.h"

namespace weft {

/// Who gave an option its value; a larger one wins.
enum class OriginKind : std::uint8_t { by_default, file, environment, flag };
struct Origin {
  OriginKind kind = OriginKind::by_default;
  std::string where;  // "--port", "WEFT_PORT", "/etc/weft/weft.conf:12"; empty by default
};

/// One option as people see it.
struct OptionRow {
  std::string name, type, help;
  std::string value, default_value;
  Origin origin;
};

class ProgramOptions {
 public:
  /// `program` is shown in texts ("weft local"), `section` names the part of a configuration file that is ours.
  ProgramOptions(std::string program, std::string section, std::string summary);

  /// Declare an option. `value` holds the default now and the value later; it must outlive this object.
  template <class T>
  void add(std::string name, T& value, std::string help) {
    add_entry({.name = std::move(name),
               .type = option_type(value),
               .help = std::move(help),
               .is_switch = std::is_same_v<T, bool>,
               .is_list = std::is_same_v<T, TextList> || std::is_same_v<T, Amounts>,
               .read = [&value](std::string_view text) { return read_option(text, value); },
               .show = [&value] { return show_option(value); }});
  }
  /// Declare an option that is one of a few words, each with its meaning: `{"json", LogFormat::json}`.
  template <class T>
  void add_choice(std::string name, T& value, std::vector<std::pair<std::string, T>> words, std::string help) {
    add_entry(choice_entry(std::move(name), value, std::move(words), std::move(help)));
  }
  /// Take `least` to `most` arguments that are no options; `name` is shown in texts ("PROGRAM").
  void positional(std::string name, TextList& values, std::size_t least, std::size_t most, std::string help);

  enum class Next : std::uint8_t { run, help, version };
  /// Read flags. Behind `--` everything is an argument. --help and --version win over what follows them.
  Result<Next> read_arguments(std::span<const std::string> arguments);
  /// Read WEFT_* variables; `variable` returns nothing for one that is not set.
  Result<void> read_environment(const std::function<std::optional<std::string>(const std::string&)>& variable);
  /// Refuse a variable of our section that names no option; others may be anybody's (Kubernetes sets WEFT_* for a service "weft").
  Result<void> check_variables(std::span<const std::string> names) const;
  /// Read one configuration file's text; `path` is for messages. Other programs' sections are skipped, unknown names
  /// refused.
  Result<void> read_file(std::string_view text, const std::string& path);

  /// All of the above with the process's own arguments, environment and files: /etc/weft/weft.conf,
  /// $XDG_CONFIG_HOME/weft/weft.conf (else ~/.config), then $WEFT_CONFIG or --config, which must exist; the later file wins.
  /// Returns the exit code if the program should end now; what there is to say was printed.
  std::optional<int> start(int argc, char** argv);
  std::optional<int> start(std::span<const std::string> arguments);

  /// Every option in order of declaration.
  std::vector<OptionRow> rows() const;
  std::string help() const;

 private:
  struct Entry {
    std::string name, type, help;
    bool is_switch = false, is_list = false;
    std::function<Result<void>(std::string_view)> read;
    std::function<std::string()> show;
    Origin origin = {};
    std::string default_value = {};
  };
  struct Positional {
    std::string name, help;
    TextList* values = nullptr;
    std::size_t least = 0, most = 0;
  };

  template <class T>
  static Entry choice_entry(std::string name, T& value, std::vector<std::pair<std::string, T>> words, std::string help) {
    std::string list;
    for (const auto& [word, meaning] : words) list += (list.empty() ? "" : "|") + word;
    auto table = std::make_shared<const std::vector<std::pair<std::string, T>>>(std::move(words));
    auto read = [&value, table, list](std::string_view text) -> Result<void> {
      for (const auto& [word, meaning] : *table)
        if (word == text) return value = meaning, Result<void>();
      return failure(ErrorKind::invalid_argument, '"' + std::string(text) + "\" is none of " + list);
    };
    auto show = [&value, table] {
      for (const auto& [word, meaning] : *table)
        if (meaning == value) return word;
      return std::string();
    };
    return {.name = std::move(name), .type = list, .help = std::move(help), .read = read, .show = show};
  }

  void add_entry(Entry entry);
  Entry* find(std::string_view name);
  Result<void> set(Entry& entry, std::string_view text, Origin origin);
  Result<std::size_t> read_flag(std::span<const std::string> arguments);
  Result<void> read_config_line(std::string_view line, const std::string& where, std::string& section);
  Result<void> read_files();
  Failure unknown(const std::string& what, std::string_view name, const std::string& prefix) const;

  std::string program_, section_, summary_;
  std::vector<Entry> entries_;
  std::optional<Positional> positional_;
  std::string config_;
};

/// The line that `--version` prints: program, version, protocol range, commit.
std::string version_line(const std::string& program);

}  // namespace weft
