// weft doctor: does this machine give us what we need? Each check says what it found and, if that is bad, what to do.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "client/cli/cli.h"
#include "common/credentials.h"
#include "common/exit_codes.h"
#include "common/machine.h"
#include "common/programs.h"
#include "common/transport/zeromq.h"
#include "worker/landlock.h"
#include "worker/system_call_filter.h"

namespace weft::cli {

namespace {

namespace fs = std::filesystem;

enum class Verdict { good, note, bad };
struct Finding {
  const char* name;
  Verdict verdict;
  std::string text;
};

Finding descriptors() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  std::string text = std::to_string(limit.rlim_cur) + " open files, can be raised to " + std::to_string(limit.rlim_max);
  if (limit.rlim_max < 4096) return {"descriptors", Verdict::bad, text + "; a worker wants 4096: raise `ulimit -Hn`"};
  return {"descriptors", Verdict::good, text};
}

Finding memory() {
  std::uint64_t usable = usable_memory();
  Verdict verdict = usable < (512u << 20) ? Verdict::note : Verdict::good;
  return {"memory", verdict, show_bytes(static_cast<double>(usable)) + " usable"};
}

Finding cgroup() {
  double cores = cgroup_cores();
  std::uint64_t limit = cgroup_memory_limit();
  std::string text = std::to_string(usable_cores()) + " cores usable";
  if (cores > 0) text += ", quota " + std::to_string(cores).substr(0, 4);
  text += limit ? ", memory limit " + show_bytes(static_cast<double>(limit)) : ", no memory limit";
  return {"cgroup", Verdict::good, text};
}

Finding shared_memory() {
  int file = static_cast<int>(memfd_create("weft-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  bool sealed = file >= 0 && ftruncate(file, 4096) == 0 && fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0;
  if (file >= 0) ::close(file);
  if (!sealed) return {"shared memory", Verdict::bad, "no sealed memory files (memfd_create): values cannot be shared with executors; "
                                                      "the kernel is too old or a sandbox forbids it"};
  struct statvfs shm{};
  std::string text = "sealed memory files work";
  if (statvfs("/dev/shm", &shm) == 0) text += "; /dev/shm has " + show_bytes(static_cast<double>(shm.f_bavail) * static_cast<double>(shm.f_frsize)) + " free";
  return {"shared memory", Verdict::good, text};
}

Finding processes() {
  int self = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
  if (self < 0) return {"processes", Verdict::bad, "no pidfd_open: the kernel is older than 5.3"};
  ::close(self);
  return {"processes", Verdict::good, "pidfd_open works"};
}

Finding ptrace_scope() {
  std::ifstream file("/proc/sys/kernel/yama/ptrace_scope");
  int scope = 0;
  if (!(file >> scope)) return {"ptrace", Verdict::good, "not restricted by Yama"};
  std::string text = "scope " + std::to_string(scope);
  if (scope >= 2) return {"ptrace", Verdict::note, text + ": debuggers cannot attach to executors; sysctl kernel.yama.ptrace_scope=1"};
  return {"ptrace", Verdict::good, text};
}

Finding core_files() {
  std::ifstream file("/proc/sys/kernel/core_pattern");
  std::string pattern;
  std::getline(file, pattern);
  if (pattern.starts_with('|'))
    return {"core files", Verdict::note, "cores of crashed executors go to '" + pattern.substr(1) +
                                             "', not to --executor-core-files; sysctl kernel.core_pattern=core changes that"};
  if (pattern.starts_with('/')) return {"core files", Verdict::note, "cores of crashed executors go to " + pattern + ", not to --executor-core-files"};
  rlimit limit{};
  getrlimit(RLIMIT_CORE, &limit);
  if (limit.rlim_max == 0) return {"core files", Verdict::note, "the hard limit is 0: executors cannot write any; raise `ulimit -Hc`"};
  return {"core files", Verdict::good, "written where --executor-core-files says"};
}

// What keeps tasks in their place, a line for each: what it does here, and why not.
Finding landlock() {
  int version = worker::landlock::version();
  if (version < 2)
    return {"landlock", Verdict::note, (version ? "version 1 is too old" : "not in this kernel, or not in /sys/kernel/security/lsm") +
                                           std::string(": tasks can write and read what our user can, keys too, and debug their worker")};
  std::string text = "version " + std::to_string(version) + ": tasks stay in their folder, off the keys and out of their worker's memory";
  if (version < 6) return {"landlock", Verdict::note, text + "; before Linux 6.12 they can send it signals"};
  return {"landlock", Verdict::good, text + " and send it no signals"};
}

Finding seccomp() {
  if (!worker::has_system_call_filters())
    return {"seccomp", Verdict::note, "no filters here (kernel or sandbox): tasks can use any system call that our user can"};
  return {"seccomp", Verdict::good, "tasks cannot mount, make namespaces, load code into the kernel, or outlive their worker by a call"};
}

Finding orphans() {
  rlimit limit{};
  getrlimit(RLIMIT_RSS, &limit);
  if (limit.rlim_max != RLIM_INFINITY)
    return {"orphans", Verdict::note, "RLIMIT_RSS is set: what a task leaves behind is found only when its worker ends in order; unset `ulimit -Hm`"};
  return {"orphans", Verdict::good, "what a task starts ends with it, also when its worker is killed"};
}

Finding root() {
  if (geteuid() != 0) return {"user", Verdict::good, "not root"};
  return {"user", Verdict::note, "root: tasks keep only its rights over files, and the kernel does not limit how many processes they start; run workers as a user"};
}

Finding namespaces() {
  return {"namespaces", Verdict::good, "not used: tasks see other processes and the network, as the user does; give hostile tenants machines or pods of their own"};
}

Finding curve() {
  // Listening proves that a stranger is refused before it opens a port.
  KeyPair keys = make_key_pair();
  ZeromqOptions options{.keys = keys, .allow = [](const std::string&, const std::string&) { return false; }};
  auto endpoint = make_zeromq_endpoint(options);
  Result<std::string> bound = endpoint->listen("tcp://127.0.0.1:0", "doctor");
  if (!bound) return {"libzmq", Verdict::bad, bound.error().message};
  return {"libzmq", Verdict::good, "CURVE works, strangers are refused"};
}

Finding keys() {
  std::string folder = default_key_folder();
  std::error_code ignored;
  if (folder.empty()) return {"keys", Verdict::note, "neither $WEFT_KEYS nor $HOME is set: name folders with --keys"};
  if (!fs::exists(folder, ignored)) return {"keys", Verdict::note, "no folder " + folder + " yet; the first weft-scheduler makes it, or `weft keys init`"};
  if (auto checked = check_private_folder(folder); !checked) return {"keys", Verdict::bad, checked.error().message};
  std::string found;
  for (const char* name : {"scheduler", "client", "worker"}) {
    std::string path = folder + '/' + name + ".key";
    if (!fs::exists(path, ignored)) continue;
    if (Result<KeyPair> pair = read_key_file(path); !pair) return {"keys", Verdict::bad, pair.error().message};
    found += (found.empty() ? "" : ", ") + std::string(name);
  }
  if (fs::exists(folder + "/authorized_keys", ignored))
    if (auto list = KeyFolder(folder).authorized(); !list) return {"keys", Verdict::bad, list.error().message};
  return {"keys", Verdict::good, folder + " has keys for: " + (found.empty() ? "nobody" : found)};
}

Finding scratch() {
  std::error_code error;
  fs::path folder = fs::temp_directory_path(error);
  fs::space_info space = error ? fs::space_info{} : fs::space(folder, error);
  if (error) return {"disk", Verdict::bad, "no folder for temporary files: " + error.message()};
  std::string text = show_bytes(static_cast<double>(space.available)) + " free in " + folder.string();
  if (access(folder.c_str(), W_OK) != 0) return {"disk", Verdict::bad, folder.string() + " cannot be written; set $TMPDIR"};
  return {"disk", space.available < (1u << 30) ? Verdict::note : Verdict::good, text};
}

Finding clock() {
  timex state{};
  bool synchronised = adjtimex(&state) != TIME_ERROR;
  if (synchronised) return {"clock", Verdict::good, "synchronised"};
  return {"clock", Verdict::note, "the kernel does not know it synchronised: times in logs of several machines may differ"};
}

Finding program(const char* name, bool ours, const char* use) {
  if (ours) {
    Result<std::string> path = find_program(name);
    return path ? Finding{name, Verdict::good, *path} : Finding{name, Verdict::bad, path.error().message};
  }
  const char* path = std::getenv("PATH");
  std::string list = path ? path : "";
  for (std::size_t at = 0; at <= list.size();) {
    std::size_t end = std::min(list.find(':', at), list.size());
    std::string candidate = list.substr(at, end - at) + '/' + name;
    if (access(candidate.c_str(), X_OK) == 0) return {name, Verdict::good, candidate};
    at = end + 1;
  }
  return {name, Verdict::note, std::string("not installed; ") + use};
}

Finding cluster(const VerbOptions& options) {
  try {
    Cluster cluster(options);
    Json status = cluster.ask("status");
    return {"cluster", Verdict::good, cluster.address() + " answers, " + std::to_string(status.at("workers").get<int>()) + " workers"};
  } catch (const Error& error) {
    return {"cluster", Verdict::bad, error.what()};
  }
}

}  // namespace

int run_doctor(Arguments arguments) {
  VerbOptions options("doctor", "Check this machine; and the cluster, if one is named.");
  if (auto code = options.start(arguments)) return *code;
  std::vector<Finding> findings = {descriptors(), memory(), cgroup(), shared_memory(), processes(), ptrace_scope(), core_files(), landlock(), seccomp(), orphans(), namespaces(), root(), curve(), keys(),
                                   scratch(), clock(), program("weft-scheduler", true, ""), program("weft-worker", true, ""),
                                   program("dot", false, "graphs are written as DOT only (package graphviz)"),
                                   program("gdb", false, "crashed executors cannot be looked into (package gdb)")};
  if (options.names_a_cluster()) findings.push_back(cluster(options));
  constexpr const char* words[] = {"ok", "note", "BAD"};
  Json data = Json::array();
  Table table({"CHECK", "VERDICT", "FOUND"});
  bool bad = false;
  for (const Finding& finding : findings) {
    const char* verdict = words[static_cast<int>(finding.verdict)];
    bad |= finding.verdict == Verdict::bad;
    data.push_back({{"check", finding.name}, {"verdict", verdict}, {"found", finding.text}});
    table.row({finding.name, verdict, harmless(finding.text)});
  }
  if (options.json()) print_json("doctor", data);
  else table.print();
  return bad ? exit_code::failure : exit_code::ok;
}

}  // namespace weft::cli
