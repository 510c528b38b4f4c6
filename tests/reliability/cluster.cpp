#include "reliability/cluster.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include <nlohmann/json.hpp>

#include "common/programs.h"
#include "common/scheduler_file.h"
#include "reliability/check.h"

namespace weft::reliability {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t client_link_count = 4;

std::string at_port(std::uint16_t port) { return "tcp://127.0.0.1:" + std::to_string(port); }
std::uint16_t port_of(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
}

}  // namespace

Cluster::Cluster(const ClusterOptions& options) : options_(options) {
  char name[] = "/tmp/weft-reliable-XXXXXX";
  need(mkdtemp(name), "no folder can be made in /tmp");
  folder_ = name;
  workers_.resize(static_cast<std::size_t>(options.workers));
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    std::string base = options.spill_folder.empty() ? folder_ : options.spill_folder;
    workers_[i].folder = base + "/w" + std::to_string(i);
    if (!options.links) continue;
    workers_[i].link = std::make_unique<Proxy>();
    workers_[i].values = std::make_unique<Proxy>();
  }
  if (options.links) {
    for (std::size_t i = 0; i < client_link_count; ++i) client_links_.push_back(std::make_unique<Proxy>());
    setenv("WEFT_KEYS", (folder_ + "/keys").c_str(), 1);  // for our own clients
  }
  if (!options.start) return;
  start_scheduler();
  for (std::size_t i = 0; i < workers_.size(); ++i) start_worker(i);
}

Cluster::~Cluster() {
  for (Worker& worker : workers_) worker.process.reset();
  scheduler_.reset();
  std::error_code ignored;
  if (!std::getenv("WEFT_RELIABILITY_KEEP")) fs::remove_all(folder_, ignored);
}

std::string Cluster::address(std::size_t link) const {
  return options_.links ? at_port(client_links_[link]->port()) : "ipc://" + folder_ + "/client";
}

ChildProcess Cluster::start(const std::string& program, std::vector<std::string> arguments, const std::string& log) {
  ChildOptions options{.arguments = std::move(arguments), .environment = options_.environment};
  // Nothing of the user who runs this: neither configuration nor keys.
  options.environment.insert({{"HOME", folder_}, {"XDG_CONFIG_HOME", ""}, {"XDG_STATE_HOME", ""}, {"WEFT_KEYS", folder_ + "/keys"}});
  int file = open((folder_ + '/' + log).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  options.output = options.errors = file;
  auto child = ChildProcess::start(find_program(program).value_or_throw(), options);
  close(file);
  return std::move(child).value_or_throw();
}

void Cluster::start_scheduler() {
  std::string file = folder_ + "/scheduler.json";
  std::vector<std::string> arguments;
  if (options_.links) {
    fs::remove(file);
    arguments = {"--port", "0", "--worker-port", "0", "--scheduler-file", file, "--store", folder_ + "/store"};
  } else {
    arguments = {"--folder", folder_};
  }
  arguments.insert(arguments.end(), {"--dashboard=false", "--log-level", "info"});
  if (options_.recorded) arguments.insert(arguments.end(), {"--recorder", folder_ + "/recording-" + std::to_string(++starts_)});
  arguments.insert(arguments.end(), options_.scheduler.begin(), options_.scheduler.end());
  scheduler_.emplace(start("weft-scheduler", arguments, "scheduler.log"));
  if (!options_.links) return;
  std::optional<SchedulerFile> where;
  bool there = eventually(60s, [&] {
    auto now = read_scheduler_file(file);
    if (now && now->pid == scheduler_->pid()) where = *now;
    return where || scheduler_->wait(monotonic_now());
  });
  need(there && where, "the scheduler did not start; its log is " + folder_ + "/scheduler.log");
  for (auto& link : client_links_) link->lead_to(port_of(where->client_address));
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i].link->lead_to(port_of(where->worker_address));
    SchedulerFile mine = *where;
    mine.worker_address = at_port(workers_[i].link->port());
    write_scheduler_file(folder_ + "/w" + std::to_string(i) + ".json", mine).value_or_throw();
  }
}

void Cluster::start_worker(std::size_t i) {
  Worker& worker = workers_[i];
  std::string name = "w" + std::to_string(i);
  std::vector<std::string> arguments = {"--name", name, "--nthreads", std::to_string(options_.slots), "--memory-limit", options_.memory,
                                        "--local-directory", worker.folder, "--log-level", "info"};
  if (options_.links) {
    std::uint16_t port = free_port();
    worker.values->lead_to(port);
    arguments.insert(arguments.end(), {"--scheduler-file", folder_ + '/' + name + ".json", "--listen-address", at_port(port),
                                       "--contact-address", at_port(worker.values->port()),
                                       "--executor-files", "user"});  // tasks leave traces where the check looks
  } else {
    arguments.insert(arguments.end(), {"ipc://" + folder_ + "/worker", "--listen-address", "ipc://" + folder_ + '/' + name + ".values"});
  }
  arguments.insert(arguments.end(), options_.worker.begin(), options_.worker.end());
  worker.process.emplace(start("weft-worker", arguments, name + ".log"));
}

std::string Cluster::recordings_that_fail() const {
  std::string words;
  for (int i = 1; i <= starts_; ++i) {
    std::string file = folder_ + "/recording-" + std::to_string(i);
    Ran ran = run("'" + find_program("weft").value_or_throw() + "' replay '" + file + "'");
    if (ran.code != 0 && fs::exists(file)) words += file + ": " + ran.output + "; ";
  }
  return words;
}

static int end(std::optional<ChildProcess>& process, int signal, Duration patience) {
  if (!process) return -1;
  process->signal(signal);
  std::optional<int> code = process->wait(monotonic_now() + patience);
  process.reset();
  return code.value_or(-1);
}
int Cluster::end_scheduler(int signal, Duration patience) { return end(scheduler_, signal, patience); }
int Cluster::end_worker(std::size_t i, int signal, Duration patience) { return end(workers_[i].process, signal, patience); }

std::string Cluster::fallen() {
  std::string words;
  auto look = [&](std::optional<ChildProcess>& process, const std::string& name) {
    if (!process) return;
    auto code = process->wait(monotonic_now());
    if (!code) return;
    words += name + " ended with code " + std::to_string(*code) + "; ";
    process.reset();
  };
  look(scheduler_, "the scheduler");
  for (std::size_t i = 0; i < workers_.size(); ++i) look(workers_[i].process, "worker w" + std::to_string(i));
  return words;
}

std::string Cluster::shut_down() {
  std::string wrong;
  for (Worker& worker : workers_)
    if (worker.process) worker.process->signal(SIGTERM);
  auto ended = [&](std::optional<ChildProcess>& process, const std::string& name) {
    if (!process) return;
    int code = process->wait(monotonic_now() + 40s).value_or(-1);
    if (code != 0) wrong += name + " ended with code " + std::to_string(code) + "; ";
    process.reset();
  };
  for (std::size_t i = 0; i < workers_.size(); ++i) ended(workers_[i].process, "worker w" + std::to_string(i));
  if (scheduler_) scheduler_->signal(SIGTERM);
  ended(scheduler_, "the scheduler");
  for (Worker& worker : workers_) {
    std::error_code none;
    for (fs::recursive_directory_iterator at(worker.folder, none), last; !none && at != last; at.increment(none))
      if (!at->is_directory() && at->path().string().find("/programs/") == std::string::npos) wrong += "left behind: " + at->path().string() + "; ";
  }
  for (const auto& at : fs::directory_iterator(folder_))
    if (at.is_socket() || at.path().filename() == "scheduler.json") wrong += "left behind: " + at.path().string() + "; ";
  return wrong;
}

void await_workers(Client& client, std::size_t count, Duration patience) {
  need(eventually(patience, [&] {
    std::size_t running = 0;
    for (const WorkerInfo& worker : client.workers()) running += worker.status == "running";
    return running == count;
  }), std::to_string(count) + " workers did not come in time");
}

std::uint64_t runs_of(Client& client) {
  return nlohmann::json::parse(client.ask("status", {}, {}, true)).at("runs").get<std::uint64_t>();
}

}  // namespace weft::reliability
