// weft: start, watch and steer clusters from a terminal.
#include <algorithm>
#include <array>
#include <cstdio>

#include <weft/init.h>

#include "client/cli/cli.h"
#include "common/exit_codes.h"

namespace weft::cli {

namespace {

constexpr std::array verbs = {
    Verb{"local", "run a program on a throw-away cluster of this machine", run_local},
    Verb{"status", "what the cluster does, by label", run_status},
    Verb{"top", "progress, workers, memory and errors, live in the terminal", run_top},
    Verb{"workers", "the workers and how full they are", run_workers},
    Verb{"tasks", "the tasks that the scheduler knows", run_tasks},
    Verb{"explain", "why a task waits, is where it is, or failed", run_explain},
    Verb{"story", "what happened to a task", run_story},
    Verb{"logs", "the last log lines of the cluster", run_logs},
    Verb{"debug", "run a failed task again on this machine", run_debug},
    Verb{"cancel", "cancel tasks", run_cancel},
    Verb{"retire", "let workers hand over what they hold, and end", run_retire},
    Verb{"restart", "forget all tasks of all clients", run_restart},
    Verb{"dump", "write one file with everything a bug report needs", run_dump},
    Verb{"history", "serve the dashboard of a job that is over, from its event log", run_history},
    Verb{"report", "write one HTML file that shows a job", run_report},
    Verb{"trace", "write a trace for Perfetto or Chrome", run_trace},
    Verb{"replay", "run a recording of a scheduler again and check it", run_replay},
    Verb{"keys", "make, list, add and revoke keys", run_keys},
    Verb{"config", "every option's value and where it came from", run_config},
    Verb{"doctor", "check this machine", run_doctor},
    Verb{"completion", "print the completion script of bash", run_completion},
};

std::string help() {
  std::string out = "usage: weft VERB [options]\nTask graphs on many machines, from C++.\n\n";
  std::size_t width = 0;
  for (const Verb& verb : verbs) width = std::max(width, std::string_view(verb.name).size());
  for (const Verb& verb : verbs)
    out += "  " + std::string(verb.name) + std::string(width - std::string_view(verb.name).size() + 2, ' ') + verb.summary + '\n';
  return out +
         "\n`weft VERB --help` shows a verb's options. The cluster is found by --address, --scheduler-file, $WEFT_ADDRESS,\n"
         "$WEFT_SCHEDULER_FILE, else at tcp://127.0.0.1:8786. Programs: weft-scheduler, weft-worker.\n";
}

int unknown(const std::string& word) {
  std::vector<std::string> names;
  for (const Verb& verb : verbs) names.push_back(verb.name);
  std::string near = nearest_name(word, names);
  const char* what = word.starts_with("-") ? "option" : "verb";
  std::fprintf(stderr, "weft: unknown %s %s%s\n", what, word.c_str(),
               near.empty() ? "; see weft --help" : (": did you mean " + near + '?').c_str());
  return exit_code::usage;
}

int show_error(const std::string& verb, const Failure& why) {
  if (errors_as_json()) {
    Json error = {{"version", 1}, {"command", verb}, {"error", {{"kind", name_of(why.kind)}, {"message", why.message}}}};
    print(error.dump(2, ' ', false, Json::error_handler_t::replace) + '\n');
  }
  std::fprintf(stderr, "weft %s: %s\n", verb.c_str(), harmless(why.message, true).c_str());
  return exit_code::of(why.kind);
}

int run(const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    std::fputs(help().c_str(), words.empty() ? stderr : stdout);
    return words.empty() ? exit_code::usage : exit_code::ok;
  }
  if (words[0] == "--version") return print(version_line("weft") + '\n'), exit_code::ok;
  auto verb = std::find_if(verbs.begin(), verbs.end(), [&](const Verb& v) { return words[0] == v.name; });
  if (verb == verbs.end()) return unknown(words[0]);
  try {
    return verb->run(Arguments(words).subspan(1));
  } catch (const NoScheduler& error) {
    show_error(verb->name, error.failure());
    return exit_code::no_host;
  } catch (const Error& error) {
    return show_error(verb->name, error.failure());
  } catch (const Json::exception& error) {
    return show_error(verb->name, Failure{.kind = ErrorKind::protocol_error,
                                          .message = std::string("the scheduler's answer cannot be read: ") + error.what()});
  } catch (const std::exception& error) {
    show_error(verb->name, Failure{.kind = ErrorKind::io_error, .message = error.what()});
    return exit_code::os_error;
  }
}

}  // namespace

std::span<const Verb> all_verbs() { return verbs; }

}  // namespace weft::cli

int main(int argc, char** argv) {
  // A LocalCluster wants it of every program; no function of this one ever runs on a worker.
  weft::init(argc, argv);
  return weft::cli::run({argv + std::min(argc, 1), argv + argc});
}
