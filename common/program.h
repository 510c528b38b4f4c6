// What weft-scheduler and weft-worker have in common: the options of every server, and how one starts and says why it does not.
#pragma once

#include <optional>
#include <string>

#include "common/address.h"
#include "common/logging.h"
#include "common/options.h"
#include "common/process.h"

namespace weft {

enum class ShowConfig : std::uint8_t { no, table, json };

struct ProgramSettings {
  std::string name;  // "weft-worker"
  LogOptions log;
  std::string pid_file;
  ShowConfig show_config = ShowConfig::no;
};

/// For daemons that hold keys, first thing in `main`: what other processes of our user learn of their memory.
enum class Memory : std::uint8_t {
  not_in_cores,  // a core file has registers and no memory
  out_of_reach,  // nor may they trace us, read our memory or open our descriptors
};
void keep_memory(Memory how);

/// Declare the logging options, --pid-file and --show-config.
void add_program_options(ProgramOptions& options, ProgramSettings& program);

/// Read all options and start logging. Returns the exit code if the program should end now; what there is to say was printed.
std::optional<int> start_program(ProgramOptions& options, ProgramSettings& program, int argc, char** argv);

/// Tell people (stderr) and the log's file why the program ends; returns the exit code, by default that of the failure's kind.
int fail_program(const ProgramSettings& program, const Failure& why, std::optional<int> code = {});

/// The same when listening at that place failed. Exit code 78: the guard does not hold, strangers would be let in.
int fail_listen(const ProgramSettings& program, const Address& place, const Failure& why);

/// Every option with its value and where it came from, as `weft config` shows it.
std::string describe_config(const std::string& program, const ProgramOptions& options, ShowConfig format);

}  // namespace weft
