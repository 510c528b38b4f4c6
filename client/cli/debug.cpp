// weft debug: run a failed task again on this machine, with the inputs it had, under a debugger if asked.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "client/cli/cli.h"
#include "client/client_core.h"
#include "client/init_debug.h"
#include "client/symbols.h"
#include "common/exit_codes.h"
#include "common/image_files.h"
#include "common/machine.h"
#include "common/process.h"
#include "common/programs.h"
#include "common/sanitized.h"
#include "common/task_description.h"
#include "worker/executor_link.h"
#include "worker/programs.h"

namespace weft::cli {

namespace {

namespace fs = std::filesystem;

Bytes from_hex(const std::string& text) {
  Bytes bytes(text.size() / 2);
  auto digit = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
  return bytes;
}

/// What the run needs on disk; removed with us.
struct Folder {
  Folder() {
    path = (fs::temp_directory_path() / "weft-debug-XXXXXX").string();
    if (!mkdtemp(path.data())) throw IoError("cannot make a folder for the task; set $TMPDIR to one that can be written");
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  Folder(const Folder&) = delete;
  std::string path;
};

struct Wishes {
  TextList key;
  bool gdb = false;
  std::string program;
  MemoryAmount memory;
};

Value fetch(Cluster& cluster, const Key& key, Duration timeout) { return cluster.client().core()->attach(key).value(timeout); }

/// The inputs as the task had them. Nothing is computed again: one that is gone is an error.
std::vector<Bytes> fetch_inputs(Cluster& cluster, const TaskDescription& task, Duration timeout) {
  for (const DescribedInput& input : task.inputs)
    if (!input.stored)
      throw DataLost("input " + input.label + ' ' + input.key.hex() +
                     " is on no worker any more (only the first 100 failed tasks keep theirs); submit the task again and debug that");
  std::vector<Bytes> all;
  for (const DescribedInput& input : task.inputs) {
    Value value = fetch(cluster, input.key, timeout);
    if (input.part != whole_value && input.part >= value.part_count())
      throw ProtocolError("input " + input.key.hex() + " has no part " + std::to_string(input.part));
    Buffer bytes = input.part == whole_value ? value.block() : value.part(input.part);
    all.emplace_back(bytes.bytes().begin(), bytes.bytes().end());
  }
  return all;
}

void check_build(const std::string& path, const ProgramSetup& setup) {
  for (const ProgramFile& file : setup.files) {
    if (file.role != FileRole::main) continue;
    Bytes id = build_id_of_file(path);
    bool same = id.empty() ? hash_file(path).has_value() && hex_of(hash_file(path)->sha256) == file.sha256 : image_key(id) == file.build;
    if (!same) throw ProgramChanged(path + " is not the program that ran the task: it was built again, or is another one");
  }
}

/// How to start the task's program here: files that are not on this machine come from a worker.
worker::ProgramSpec program_of(Cluster& cluster, const TaskDescription& task, const Wishes& wishes, const std::string& folder,
                               Duration timeout) {
  Result<ProgramSetup> setup = decode<ProgramSetup>(task.program);
  if (task.program.empty() || !setup)
    throw ProgramError("the scheduler does not know the task's program; was it submitted by an embedded client, or another release?");
  if (!wishes.program.empty()) {
    check_build(wishes.program, *setup);
    for (ProgramFile& file : setup->files)
      if (file.role == FileRole::main) file.path = fs::absolute(wishes.program).string();
    // The same code, but perhaps stripped or with debug information: another file.
    for (ProgramFile& file : setup->files)
      if (file.role == FileRole::main)
        if (auto hash = hash_file(file.path)) file.sha256 = hex_of(hash->sha256), file.size = hash->size;
  }
  const Key name = task.shape.function.program;
  worker::Programs programs(folder + "/programs");
  for (const Key& missing : programs.add(DefineProgram{name, encode(*setup)})) {
    std::string path;
    for (const ProgramFile& file : setup->files)
      if (file.key == missing) path = file.path;
    if (cluster.ask("who_has", {}, {missing}).at(missing.hex()).empty())
      throw ProgramError(path + " is not here as the task ran it, and no worker has it; run weft debug where the client runs, or give --program PATH");
    programs.provide(missing, fetch(cluster, missing, timeout));
  }
  return programs.spec(name).value_or_throw();
}

/// Bytes that the task's process may allocate; 0: any number. That of its worker, where its inputs were mapped; here they are read
/// from a file and then decoded, which takes up to four times their size.
std::uint64_t memory_bound(Cluster& cluster, const std::string& worker, const std::vector<Bytes>& inputs, const MemoryAmount& wish) {
  if (sanitized) return 0;
  std::uint64_t bound = 0, needed_here = 0;
  for (const Bytes& input : inputs) needed_here += 4 * input.size();
  if (wish.kind != MemoryAmount::Kind::automatic) {
    bound = wish.resolve(usable_memory());
  } else {
    for (const Json& row : cluster.ask("workers")) {
      // One that is gone was probably like the others.
      bound = std::max(bound, row.at("memory_limit").get<std::uint64_t>());
      if (row.at("name") != worker) continue;
      bound = row.at("memory_limit");
      break;
    }
  }
  return bound ? bound + needed_here : 0;
}

/// While it lives, programs that we start may allocate only so much.
class MemoryBound {
 public:
  explicit MemoryBound(std::uint64_t bytes) {
    getrlimit(RLIMIT_DATA, &before_);
    rlimit bound = before_;
    if (bytes) bound.rlim_cur = std::min<rlim_t>(before_.rlim_cur, bytes);
    setrlimit(RLIMIT_DATA, &bound);
  }
  ~MemoryBound() { setrlimit(RLIMIT_DATA, &before_); }
  MemoryBound(const MemoryBound&) = delete;

 private:
  rlimit before_{};
};

Result<ChildProcess> start_bounded(const std::string& program, const ChildOptions& options, std::uint64_t memory) {
  MemoryBound bound(memory);
  return ChildProcess::start(program, options);
}

ChildOptions how_to_start(const worker::ProgramSpec& spec, const std::string& folder, bool json) {
  ChildOptions options{.environment = spec.environment, .own_group = false, .no_input = true};
  options.environment[client::debug_variable] = folder;
  if (!spec.libraries.empty()) {
    const char* given = std::getenv("LD_LIBRARY_PATH");
    options.environment["LD_LIBRARY_PATH"] = spec.libraries + (given ? std::string(":") + given : "");
  }
  if (!spec.attached.empty()) {
    fs::create_directories(folder + "/files");
    for (const std::string& file : spec.attached) fs::create_symlink(file, folder + "/files" + file.substr(file.rfind('/')));
    options.environment[worker::files_variable] = folder + "/files";
  }
  if (json) options.output = STDERR_FILENO;  // what the task prints
  return options;
}

std::string signal_text(int signal) { return "signal " + std::to_string(signal) + " (" + strsignal(signal) + ')'; }

/// How the run ended, as the failure that its user would see; kind none: it returned.
Failure outcome_of(int code, const std::string& folder) {
  if (std::optional<Failure> outcome = client::read_debug_outcome(folder)) return *outcome;
  Failure crash{.kind = ErrorKind::task_crashed, .frames = client::debug_crash_frames(folder)};
  if (code > 128) crash.signal = code - 128, crash.message = "the task died of " + signal_text(code - 128);
  else crash.exit_code = code, crash.message = "the task ended its process with exit code " + std::to_string(code);
  return symbolised(std::move(crash));
}

int run_plainly(const worker::ProgramSpec& spec, const std::string& folder, bool json, std::uint64_t memory) {
  ChildOptions options = how_to_start(spec, folder, json);
  options.arguments = spec.arguments;
  ChildProcess child = start_bounded(spec.path, options, memory).value_or_throw();
  Failure outcome = outcome_of(child.wait().value_or(exit_code::failure), folder);
  const bool returned = outcome.kind == ErrorKind::none;
  if (json) {
    print_json("debug", {{"outcome", returned ? "returned" : name_of(outcome.kind)}, {"message", outcome.message}, {"type", outcome.type},
                         {"signal", outcome.signal}, {"traceback", outcome.traceback}, {"memory_bound", memory}});
  } else if (returned) {
    print(harmless(outcome.message) + "; it does not fail here\n");
  } else {
    print(std::string(name_of(outcome.kind)) + ": " + (outcome.type.empty() ? "" : harmless(outcome.type) + ": ") +
          harmless(outcome.message, true) + '\n' + harmless(outcome.traceback, true));
  }
  return returned ? exit_code::ok : exit_code::failure;
}

/// With a terminal the debugger is the user's; without one it prints the stack where the task fails.
int run_in_gdb(const worker::ProgramSpec& spec, const std::string& folder, std::uint64_t memory) {
  ChildOptions options = how_to_start(spec, folder, false);
  options.arguments = {"-q", "-ex", "set confirm off", "-ex", "set print thread-events off", "-ex", "catch throw"};
  // The bound is the task's, not the debugger's.
  std::string wrapper = "set exec-wrapper sh -c 'ulimit -S -d " + std::to_string(memory / 1024) + " && exec \"$0\" \"$@\"'";
  if (memory) options.arguments.insert(options.arguments.end(), {"-ex", wrapper});
  options.arguments.insert(options.arguments.end(), {"-ex", "run"});
  const bool interactive = isatty(STDIN_FILENO) != 0;
  if (interactive) options.no_input = false;
  else options.arguments.insert(options.arguments.end(), {"-ex", "bt", "-batch"});
  options.arguments.insert(options.arguments.end(), {"--args", spec.path});
  options.arguments.insert(options.arguments.end(), spec.arguments.begin(), spec.arguments.end());
  Result<ChildProcess> gdb = ChildProcess::start("gdb", options);
  if (!gdb) throw ProgramError("gdb cannot be started (" + gdb.error().message + "); install it (package gdb), or leave --gdb out");
  return gdb->wait().value_or(exit_code::failure);
}

}  // namespace

int run_debug(Arguments arguments) {
  VerbOptions options("debug", "Run a failed task again on this machine, with the inputs it had.");
  Wishes wishes;
  options.add().positional("KEY", wishes.key, 1, 1, "a key, or its first digits");
  options.add().add("gdb", wishes.gdb, "under gdb; without a terminal it prints the stack of the first exception or crash");
  options.add().add("program", wishes.program, "the task's program, if it is not where the client started it");
  options.add().add("memory", wishes.memory, "memory that the task's process may allocate; 0: any; auto: the memory limit of the worker where it failed");
  if (auto code = options.start(arguments)) return *code;
  Folder folder;
  worker::ProgramSpec spec;
  std::uint64_t memory = 0;
  {
    Cluster cluster(options);
    Json answer = cluster.ask("describe", {}, {cluster.find_key(wishes.key[0])});
    if (!answer.contains("error"))
      throw InvalidArgument("task " + wishes.key[0] + " did not fail: it is " + answer.at("state").get<std::string>());
    Result<TaskDescription> task = decode<TaskDescription>(from_hex(answer.at("description").get<std::string>()));
    if (!task) throw ProtocolError("the scheduler describes tasks in another way; install the same release on both sides");
    if (std::string cause = answer.at("error").at("key"); cause != task->key.hex())
      throw InvalidArgument("the task did not run: task " + cause + ", which it depends on, failed; debug that one");
    if (task->shape.function.kernel != 0) throw InvalidArgument("the task is a built-in function and belongs to no program");
    spec = program_of(cluster, *task, wishes, folder.path, options.timeout());
    client::DebugTask run{task->key, task->shape, task->arguments, fetch_inputs(cluster, *task, options.timeout()), !wishes.gdb};
    client::write_debug_task(folder.path, run).value_or_throw();
    memory = memory_bound(cluster, answer.at("error").at("worker"), run.inputs, wishes.memory);
    if (!options.json())
      print("running " + harmless(task->shape.label) + ' ' + task->key.hex() + " of " + (spec.name.empty() ? spec.path : spec.name) +
            (memory ? " with at most " + show_bytes(static_cast<double>(memory)) + " of memory" : "") + '\n');
  }
  return wishes.gdb ? run_in_gdb(spec, folder.path, memory) : run_plainly(spec, folder.path, options.json(), memory);
}

}  // namespace weft::cli
