#include "common/program.h"

#include <sys/prctl.h>

#include <cstdio>
#include <fstream>

#include <nlohmann/json.hpp>

#include "common/exit_codes.h"
#include "common/listen.h"

namespace weft {

void keep_memory(Memory how) {
  if (how == Memory::out_of_reach) prctl(PR_SET_DUMPABLE, 0);
  // Unlike a limit on core files this holds also where the kernel pipes them to a program.
  else static_cast<void>(std::ofstream("/proc/self/coredump_filter") << "0");
}

void add_program_options(ProgramOptions& options, ProgramSettings& program) {
  program.log.program = program.name;
  add_log_options(options, program.log);
  options.add("pid-file", program.pid_file, "keep the process id in this file");
  options.add_choice<ShowConfig>("show-config", program.show_config,
                                 {{"no", ShowConfig::no}, {"table", ShowConfig::table}, {"json", ShowConfig::json}},
                                 "show every value and its origin, and stop");
}

/// Of a configuration file: what is shown can be given back as one.
static std::string section_of(const std::string& program) { return program.starts_with("weft-") ? program.substr(5) : program; }

std::string describe_config(const std::string& program, const ProgramOptions& options, ShowConfig format) {
  auto origin = [](const OptionRow& row) { return row.origin.where.empty() ? std::string("default") : row.origin.where; };
  if (format == ShowConfig::json) {
    nlohmann::ordered_json values = nlohmann::ordered_json::object();
    for (const OptionRow& row : options.rows())
      if (row.name != "show-config")
        values[row.name] = {{"value", row.value}, {"origin", origin(row)}, {"default", row.default_value}};
    nlohmann::ordered_json all = {{"version", 1}, {"program", program}, {"options", values}};
    return all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
  }
  std::size_t name_width = 0, value_width = 0;
  for (const OptionRow& row : options.rows()) {
    name_width = std::max(name_width, row.name.size());
    if (row.value.size() <= 40) value_width = std::max(value_width, row.value.size());
  }
  std::string out = '[' + section_of(program) + "]\n";
  for (const OptionRow& row : options.rows()) {
    if (row.name == "show-config") continue;
    std::size_t pad = row.value.size() < value_width ? value_width - row.value.size() : 0;
    out += row.name + std::string(name_width - row.name.size(), ' ') + " = " + row.value + std::string(pad, ' ') + "  # " + origin(row) + '\n';
  }
  return out;
}

std::optional<int> start_program(ProgramOptions& options, ProgramSettings& program, int argc, char** argv) {
  if (auto code = options.start(argc, argv)) return code;
  if (program.show_config != ShowConfig::no) {
    std::fputs(describe_config(program.name, options, program.show_config).c_str(), stdout);
    return exit_code::ok;
  }
  if (auto started = start_logging(program.log); !started) return fail_program(program, started.error(), exit_code::cannot_create);
  return std::nullopt;
}

int fail_program(const ProgramSettings& program, const Failure& why, std::optional<int> code) {
  std::fprintf(stderr, "%s: %s\n", program.name.c_str(), why.message.c_str());
  int exit = code.value_or(exit_code::of(why.kind));
  if (!program.log.file.empty()) log_error("ended with an error", {{"why", why.message}, {"exit_code", exit}});
  flush_log();
  return exit;
}

int fail_listen(const ProgramSettings& program, const Address& place, const Failure& why) {
  // A place that somebody else has is connection_failed (endpoint.h).
  if (why.kind != ErrorKind::io_error) return fail_program(program, why);
  if (std::holds_alternative<IpcAddress>(place)) return fail_program(program, why, exit_code::cannot_create);
  return fail_program(program, why, host_known(place) ? exit_code::configuration : exit_code::no_host);
}

}  // namespace weft
