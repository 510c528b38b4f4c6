// weft config and weft completion: what can be said to the programs, and what was.
#include <fcntl.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "common/exit_codes.h"
#include "common/process.h"
#include "common/program.h"
#include "common/programs.h"

namespace weft::cli {

namespace {

/// What a program of ours says about its options. They are declared in its main, so nobody else can.
std::string ask_program(const std::string& name, bool json) {
  std::string path = find_program(name).value_or_throw();
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw IoError("cannot make a pipe");
  ChildOptions options;
  options.arguments = {"--show-config", json ? "json" : "table"};
  options.output = ends[1];
  Result<ChildProcess> child = ChildProcess::start(path, options);
  ::close(ends[1]);
  std::string out;
  char buffer[4096];
  for (ssize_t size; child && (size = read(ends[0], buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<std::size_t>(size));
  ::close(ends[0]);
  int code = std::move(child).value_or_throw().wait().value_or(exit_code::software);
  if (code != exit_code::ok) throw InvalidArgument(name + " refuses its configuration; what it says is above");
  return out;
}

}  // namespace

int run_config(Arguments arguments) {
  VerbOptions options("config", "Show each option's value and where it came from: flag, environment, file or default.");
  TextList words;
  options.add().positional("PROGRAM", words, 0, 3, "scheduler, worker, cli; default all");
  if (auto code = options.start(arguments)) return *code;
  if (words.empty()) words = {"scheduler", "worker", "cli"};
  Json all = Json::array();
  for (const std::string& word : words) {
    ShowConfig format = options.json() ? ShowConfig::json : ShowConfig::table;
    if (word != "scheduler" && word != "worker" && word != "cli") {
      std::string near = nearest_name(word, {"scheduler", "worker", "cli"});
      throw InvalidArgument("unknown program " + word + (near.empty() ? "" : ": did you mean " + near + '?'));
    }
    const char* section = options.json() ? "weft" : "cli";
    std::string text = word == "cli" ? describe_config(section, options.options(), format) : ask_program("weft-" + word, options.json());
    if (options.json()) all.push_back(Json::parse(text));
    else print((&word == &words.front() ? "" : "\n") + text);
  }
  if (options.json()) print_json("config", all);
  return exit_code::ok;
}

int run_completion(Arguments arguments) {
  VerbOptions options("completion", "Print the completion script of bash: eval \"$(weft completion bash)\"");
  TextList shells;
  options.add().positional("SHELL", shells, 0, 1, "bash");
  if (auto code = options.start(arguments)) return *code;
  if (!shells.empty() && shells[0] != "bash") throw InvalidArgument("there is completion for bash only, not for " + shells[0]);
  std::string verbs;
  for (const Verb& verb : all_verbs()) verbs += (verbs.empty() ? "" : " ") + std::string(verb.name);
  // A verb's help is the one list of its options.
  print("_weft() {\n"
        "  local word=${COMP_WORDS[COMP_CWORD]} words\n"
        "  if [[ $1 == weft && $COMP_CWORD -eq 1 ]]; then words='" + verbs + " --help --version'\n"
        "  elif [[ $word == -* && $1 == weft ]]; then words=$(weft \"${COMP_WORDS[1]}\" --help 2>/dev/null | grep -oE '^  --[a-z-]+')\n"
        "  elif [[ $word == -* ]]; then words=$(\"$1\" --help 2>/dev/null | grep -oE '^  --[a-z-]+')\n"
        "  elif [[ ${COMP_WORDS[1]} == keys ]]; then words='init list add revoke'\n"
        "  elif [[ ${COMP_WORDS[1]} == config ]]; then words='scheduler worker cli'\n"
        "  elif [[ ${COMP_WORDS[1]} == retire ]]; then words=$(weft workers 2>/dev/null | awk 'NR > 1 { print $1 }')\n"
        "  fi\n"
        "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
        "}\n"
        "complete -o default -F _weft weft weft-scheduler weft-worker\n");
  return exit_code::ok;
}

}  // namespace weft::cli
