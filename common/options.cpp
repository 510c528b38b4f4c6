#include "common/options.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include <weft/version.h>

#include "common/check.h"
#include "common/exit_codes.h"

extern char** environ;

namespace weft {

namespace {

// The sections a configuration file may have; one per program, since one file serves them all.
constexpr std::array sections = {"scheduler", "worker", "client", "cli", "local", "dashboard"};

Failure mistake(std::string sentence) { return failure(ErrorKind::invalid_argument, std::move(sentence)); }

std::string as_variable(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

// Cut a comment that begins outside of quotes.
std::string_view without_comment(std::string_view line) {
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (quoted && line[i] == '\\') {
      ++i;
    } else if (line[i] == '"') {
      quoted = !quoted;
    } else if (line[i] == '#' && !quoted && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) {
      return line.substr(0, i);
    }
  }
  return line;
}

// "a \"b\"" without its quotes; other text as it is. Nothing if the quotes do not match.
std::optional<std::string> unquoted(std::string_view text) {
  if (text.empty() || text[0] != '"') return std::string(text);
  std::string out;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') return i + 1 == text.size() ? std::optional(out) : std::nullopt;
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    out += text[i];
  }
  return std::nullopt;
}

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

std::vector<std::string> variable_names() {
  std::vector<std::string> names;
  for (char** at = environ; at && *at; ++at) names.emplace_back(*at, std::strcspn(*at, "="));
  return names;
}

bool asks_for_help(std::string_view flag) { return flag == "--help" || flag == "-h"; }

}  // namespace

ProgramOptions::ProgramOptions(std::string program, std::string section, std::string summary)
    : program_(std::move(program)), section_(std::move(section)), summary_(std::move(summary)) {
  WEFT_CHECK(std::find(sections.begin(), sections.end(), section_) != sections.end());
}

void ProgramOptions::add_entry(Entry entry) {
  WEFT_CHECK(!find(entry.name) && entry.name != "help" && entry.name != "version" && entry.name != "config");
  entry.default_value = entry.show();
  entries_.push_back(std::move(entry));
}

void ProgramOptions::positional(std::string name, TextList& values, std::size_t least, std::size_t most, std::string help) {
  positional_ = Positional{std::move(name), std::move(help), &values, least, most};
}

ProgramOptions::Entry* ProgramOptions::find(std::string_view name) {
  auto entry = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.name == name; });
  return entry == entries_.end() ? nullptr : &*entry;
}

Failure ProgramOptions::unknown(const std::string& what, std::string_view name, const std::string& prefix) const {
  std::vector<std::string> names = {"help", "version", "config"};
  for (const Entry& entry : entries_) names.push_back(entry.name);
  std::string near = nearest_name(name, names);
  return mistake("unknown " + what + ' ' + prefix + std::string(name) +
                 (near.empty() ? "" : ": did you mean " + prefix + near + '?'));
}

// Set the value unless something stronger already did.
Result<void> ProgramOptions::set(Entry& entry, std::string_view text, Origin origin) {
  if (origin.kind < entry.origin.kind) return {};
  // A list given by several flags is all of them.
  bool joins = entry.is_list && origin.kind == OriginKind::flag && entry.origin.kind == OriginKind::flag;
  Result<void> read = entry.read(joins ? entry.show() + ',' + std::string(text) : std::string(text));
  if (!read) return mistake(origin.where + ": " + read.error().message);
  entry.origin = std::move(origin);
  return {};
}

// Read the flag at the front; returns how many arguments it took.
Result<std::size_t> ProgramOptions::read_flag(std::span<const std::string> arguments) {
  const std::string& flag = arguments[0];
  if (flag[1] != '-') return mistake("unknown option " + flag + ": options begin with --; see " + program_ + " --help");
  std::size_t equals = flag.find('=');
  std::string name = flag.substr(2, equals == std::string::npos ? equals : equals - 2);
  std::optional<std::string> text;
  if (equals != std::string::npos) text = flag.substr(equals + 1);

  Entry* entry = find(name);
  if (!entry && name.starts_with("no-") && !text) {
    entry = find(name.substr(3));
    if (!entry || !entry->is_switch) return unknown("option", name, "--");
    if (auto done = set(*entry, "false", {OriginKind::flag, flag}); !done) return done.error();
    return std::size_t{1};
  }
  if (!entry && name != "config") return unknown("option", name, "--");
  std::size_t taken = 1;
  auto says = [&](std::initializer_list<std::string_view> words) {
    return arguments.size() > 1 && std::find(words.begin(), words.end(), arguments[1]) != words.end();
  };
  if (!text && entry && entry->is_switch) {
    bool is_told = says({"on", "off", "true", "false", "yes", "no"});
    text = is_told ? arguments[1] : "true";
    taken = is_told ? 2 : 1;
  } else if (!text) {
    if (arguments.size() < 2) return mistake("--" + name + " needs a value: " + (entry ? entry->type : "FILE"));
    text = arguments[1];
    taken = 2;
  }
  if (!entry) {
    config_ = *text;
  } else if (auto done = set(*entry, *text, {OriginKind::flag, "--" + name}); !done) {
    return done.error();
  }
  return taken;
}

Result<ProgramOptions::Next> ProgramOptions::read_arguments(std::span<const std::string> arguments) {
  TextList values;
  std::string behind;   // what stands before the first of them
  for (std::size_t i = 0; i < arguments.size();) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      values.insert(values.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, arguments.end());
      break;
    }
    if (asks_for_help(argument)) return Next::help;
    if (argument == "--version") return Next::version;
    if (argument.size() < 2 || argument[0] != '-') {
      if (values.empty() && i > 0) behind = " behind " + arguments[i - 1];
      values.push_back(argument);
      ++i;
      continue;
    }
    Result<std::size_t> taken = read_flag(arguments.subspan(i));
    if (!taken) return taken.error();
    i += *taken;
  }
  if (!positional_ && !values.empty()) return mistake("unexpected argument \"" + values[0] + "\"" + behind + ": options begin with --");
  if (positional_ && values.size() < positional_->least) return mistake("missing argument: " + positional_->name);
  if (positional_ && values.size() > positional_->most)
    return mistake("unexpected argument \"" + values[positional_->most] + "\" behind " + positional_->name);
  if (positional_ && !values.empty()) *positional_->values = std::move(values);
  return Next::run;
}

Result<void> ProgramOptions::read_environment(const std::function<std::optional<std::string>(const std::string&)>& variable) {
  for (Entry& entry : entries_) {
    // The special variable first; the general one does not override it.
    for (const std::string& name :
         {"WEFT_" + as_variable(section_) + "__" + as_variable(entry.name), "WEFT_" + as_variable(entry.name)}) {
      auto text = variable(name);
      if (!text) continue;
      if (auto done = set(entry, *text, {OriginKind::environment, name}); !done) return done;
      break;
    }
  }
  return {};
}

Result<void> ProgramOptions::check_variables(std::span<const std::string> names) const {
  std::string prefix = "WEFT_" + as_variable(section_) + "__";
  for (const std::string& name : names) {
    if (!name.starts_with(prefix)) continue;
    std::vector<std::string> known;
    for (const Entry& entry : entries_) known.push_back(as_variable(entry.name));
    std::string own = name.substr(prefix.size());
    if (std::find(known.begin(), known.end(), own) != known.end()) continue;
    std::string near = nearest_name(own, known);
    return mistake("unknown variable " + name + (near.empty() ? "" : ": did you mean " + prefix + near + '?'));
  }
  return {};
}

Result<void> ProgramOptions::read_config_line(std::string_view line, const std::string& where, std::string& section) {
  line = trimmed(without_comment(line));
  if (line.empty()) return {};
  if (line.front() == '[' && line.back() == ']') {
    section = trimmed(line.substr(1, line.size() - 2));
    if (std::find(sections.begin(), sections.end(), section) != sections.end()) return {};
    std::string near = nearest_name(section, {sections.begin(), sections.end()});
    return mistake(where + ": unknown section [" + section + ']' + (near.empty() ? "" : ": did you mean [" + near + "]?"));
  }
  if (!section.empty() && section != section_) return {};
  std::size_t equals = line.find('=');
  if (equals == std::string_view::npos) return mistake(where + ": write `key = value` or `[section]`");
  std::string key(trimmed(line.substr(0, equals)));
  std::replace(key.begin(), key.end(), '_', '-');
  Entry* entry = find(key);
  if (!entry) return mistake(where + ": " + unknown("key", key, "").message);
  std::string_view raw = trimmed(line.substr(equals + 1));
  // A list reads its own quotes.
  std::optional<std::string> text = entry->is_list ? std::string(raw) : unquoted(raw);
  if (!text) return mistake(where + ": a quote is not closed, or text follows it");
  return set(*entry, *text, {OriginKind::file, where});
}

Result<void> ProgramOptions::read_file(std::string_view text, const std::string& path) {
  std::string section;
  for (int number = 1; !text.empty(); ++number) {
    std::size_t end = std::min(text.find('\n'), text.size());
    auto done = read_config_line(text.substr(0, end), path + ':' + std::to_string(number), section);
    if (!done) return done;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
}

Result<void> ProgramOptions::read_files() {
  struct File {
    std::string path;
    bool must_exist;
  };
  std::vector<File> files = {{"/etc/weft/weft.conf", false}};
  std::string home = environment("HOME").value_or(""), user = environment("XDG_CONFIG_HOME").value_or("");
  if (user.empty() && !home.empty()) user = home + "/.config";
  if (!user.empty()) files.push_back({user + "/weft/weft.conf", false});
  std::string named = config_.empty() ? environment("WEFT_CONFIG").value_or("") : config_;
  if (!named.empty()) files.push_back({named, true});
  for (const File& file : files) {
    std::ifstream in(file.path);
    std::string text;
    // Opening a folder succeeds and reading it does not; it counts as missing.
    bool readable = in && (in.peek(), !in.bad());
    if (readable) text.assign(std::istreambuf_iterator<char>(in), {});
    if (!readable && file.must_exist) return mistake("cannot read the configuration file " + file.path);
    if (auto done = read_file(text, file.path); !done) return done;
  }
  return {};
}

std::optional<int> ProgramOptions::start(int argc, char** argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  return start(arguments);
}

std::optional<int> ProgramOptions::start(std::span<const std::string> arguments) {
  auto complain = [&](const Failure& failure, int code) {
    std::fprintf(stderr, "%s: %s\n", program_.c_str(), failure.message.c_str());
    return code;
  };
  Result<Next> next = read_arguments(arguments);
  if (!next) return complain(next.error(), exit_code::usage);
  if (*next != Next::run) {
    std::string text = *next == Next::help ? help() : version_line(program_) + '\n';
    std::fputs(text.c_str(), stdout);
    return exit_code::ok;
  }
  if (auto done = read_environment(environment); !done) return complain(done.error(), exit_code::usage);
  if (auto done = check_variables(variable_names()); !done) return complain(done.error(), exit_code::usage);
  if (auto done = read_files(); !done) return complain(done.error(), exit_code::configuration);
  return std::nullopt;
}

std::vector<OptionRow> ProgramOptions::rows() const {
  std::vector<OptionRow> rows;
  for (const Entry& entry : entries_)
    rows.push_back({entry.name, entry.type, entry.help, entry.show(), entry.default_value, entry.origin});
  return rows;
}

std::string ProgramOptions::help() const {
  std::vector<std::pair<std::string, std::string>> lines;
  if (positional_) lines.emplace_back(positional_->name, positional_->help);
  for (const Entry& entry : entries_) {
    std::string left = "--" + entry.name + (entry.type.empty() ? "" : ' ' + entry.type);
    lines.emplace_back(left, entry.help + (entry.default_value.empty() ? "" : " [" + entry.default_value + ']'));
  }
  lines.emplace_back("--config FILE", "read this configuration file too");
  lines.emplace_back("--version", "show versions and stop");
  lines.emplace_back("--help", "show this and stop");
  std::size_t width = 0;
  for (const auto& [left, right] : lines)
    if (left.size() <= 32) width = std::max(width, left.size());
  std::string out =
      "usage: " + program_ + " [options]" + (positional_ ? ' ' + positional_->name : "") + '\n' + summary_ + "\n\n";
  for (const auto& [left, right] : lines) {
    bool fits = left.size() <= width;
    out += "  " + left + (fits ? std::string(width - left.size(), ' ') : '\n' + std::string(width + 2, ' ')) + "  " + right +
           '\n';
  }
  return out + "\nEach option is also a variable, WEFT_NAME or (for this program alone) WEFT_" + as_variable(section_) +
         "__NAME, in upper case\nwith _ for -, and a line `name = value` of /etc/weft/weft.conf, ~/.config/weft/weft.conf or --config "
         "FILE. Flags win over\nvariables, and these over files.\n";
}

std::string version_line(const std::string& program) {
  std::string line = program + ' ' + WEFT_VERSION_STRING + " (protocol " + std::to_string(protocol_min) + " to " +
                     std::to_string(protocol_max);
#ifdef WEFT_COMMIT
  line += ", commit " WEFT_COMMIT;
#endif
  return line + ')';
}

}  // namespace weft
