// The floor: what a central scheduler without features reaches over libzmq on this machine. A client, a scheduler and workers as
// processes over loopback TCP; tasks are numbers, results 8 bytes; everybody drains what is readable, then sends one frame a peer.
// No futures, keys, failures or data: the bound of transport and wake-ups, not a product. Prints tasks/s, or us (chain, ping).
// Usage: floor_bench bag|chain|ping TASKS WORKERS
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t nothing = 0xffffffff;
constexpr int window = 1024;  // tasks ahead of each worker

struct Task {
  std::uint32_t id, after;    // `after`: the task it waits for, or nothing
  std::uint64_t argument[4];
};
struct Result {
  std::uint32_t id, wanted;
  std::uint64_t value;
};
/// What a frame's first byte says: the records behind it are these.
enum class Kind : std::uint8_t { client, worker, tasks, results };

struct Frame {
  std::vector<char> bytes;
  template <class Record>
  void add(Kind kind, const Record& record) {
    if (bytes.empty()) bytes.push_back(static_cast<char>(kind));
    auto* at = reinterpret_cast<const char*>(&record);
    bytes.insert(bytes.end(), at, at + sizeof record);
  }
};

class Socket {
 public:
  explicit Socket(int type) : socket_(zmq_socket(context(), type)) {
    int none = 0;
    for (int option : {ZMQ_LINGER, ZMQ_SNDHWM, ZMQ_RCVHWM}) zmq_setsockopt(socket_, option, &none, sizeof none);
  }
  void connect(const std::string& address) { zmq_connect(socket_, address.c_str()); }
  std::string bind() {
    zmq_bind(socket_, "tcp://127.0.0.1:*");
    char address[128];
    std::size_t size = sizeof address;
    zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, address, &size);
    return address;
  }
  bool receive(std::string& part, bool wait) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    bool got = zmq_msg_recv(&message, socket_, wait ? 0 : ZMQ_DONTWAIT) >= 0;
    if (got) part.assign(static_cast<char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
    zmq_msg_close(&message);
    return got;
  }
  void send(Frame& frame, const std::string* to = nullptr) {
    if (frame.bytes.empty()) return;
    if (to) zmq_send(socket_, to->data(), to->size(), ZMQ_SNDMORE);
    zmq_send(socket_, frame.bytes.data(), frame.bytes.size(), 0);
    frame.bytes.clear();
  }
  void hello(Kind kind) { zmq_send(socket_, &kind, 1, 0); }

 private:
  static void* context() {
    static void* one = zmq_ctx_new();
    return one;
  }
  void* socket_;
};

template <class Record, class Do>
void each(const std::string& frame, Do act) {
  for (std::size_t at = 1; at + sizeof(Record) <= frame.size(); at += sizeof(Record)) {
    Record record;
    std::memcpy(&record, frame.data() + at, sizeof record);
    act(record);
  }
}

[[noreturn]] void work(const std::string& address) {
  Socket socket(ZMQ_DEALER);
  socket.connect(address);
  socket.hello(Kind::worker);
  Frame out;
  for (std::string frame;;) {
    if (!socket.receive(frame, false)) {
      socket.send(out);
      socket.receive(frame, true);
    }
    each<Task>(frame, [&](const Task& task) { out.add(Kind::results, Result{task.id, 0, task.argument[0] + 1}); });
  }
}

class Scheduler {
 public:
  [[noreturn]] void run(Socket& socket) {
    for (std::string from, frame;;) {
      for (int i = 0; i < 64 && socket.receive(from, i == 0); ++i) {
        socket.receive(frame, true);
        handle(from, frame);
      }
      place();
      for (auto& [name, worker] : workers_) socket.send(worker.out, &name);
      socket.send(to_client_, &client_);
    }
  }

 private:
  struct Worker {
    Frame out;
    int ahead = 0;
  };
  void handle(const std::string& from, const std::string& frame) {
    switch (static_cast<Kind>(frame[0])) {
      case Kind::client: client_ = from; break;
      case Kind::worker: workers_[from]; break;
      case Kind::tasks: each<Task>(frame, [&](const Task& task) { add(task); }); break;
      case Kind::results:
        each<Result>(frame, [&](const Result& result) {
          --workers_[from].ahead;
          done_[result.id] = true;
          if (next_[result.id] == nothing) to_client_.add(Kind::results, result);
          else ready_.push_back(tasks_[next_[result.id]]);
        });
    }
  }
  void add(const Task& task) {
    tasks_.resize(std::max<std::size_t>(tasks_.size(), task.id + 1));
    done_.resize(tasks_.size());
    next_.resize(tasks_.size(), nothing);
    tasks_[task.id] = task;
    done_[task.id] = false;
    next_[task.id] = nothing;
    if (task.after != nothing) next_[task.after] = task.id;
    if (task.after == nothing || done_[task.after]) ready_.push_back(task);
  }
  void place() {
    while (taken_ < ready_.size()) {
      auto idlest = std::min_element(workers_.begin(), workers_.end(), [](auto& a, auto& b) { return a.second.ahead < b.second.ahead; });
      if (idlest == workers_.end() || idlest->second.ahead >= window) return;
      idlest->second.out.add(Kind::tasks, ready_[taken_++]);
      ++idlest->second.ahead;
    }
    ready_.clear();
    taken_ = 0;
  }

  std::map<std::string, Worker> workers_;
  std::string client_;
  Frame to_client_;
  std::vector<Task> tasks_, ready_;
  std::vector<std::uint32_t> next_;  // who waits for a task
  std::vector<bool> done_;
  std::size_t taken_ = 0;
};

/// Sends the tasks and waits for so many results.
void run_tasks(Socket& socket, std::uint32_t count, bool chained, std::size_t results) {
  Frame out;
  for (std::uint32_t i = 0; i < count; ++i) {
    out.add(Kind::tasks, Task{i, chained && i ? i - 1 : nothing, {i}});
    if (i % 2048 == 2047) socket.send(out);
  }
  socket.send(out);
  std::string frame;
  while (results > 0) {
    socket.receive(frame, true);
    each<Result>(frame, [&](const Result&) { --results; });
  }
}

double measure(Socket& socket, const std::string& what, std::uint32_t tasks) {
  auto began = Clock::now();
  auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - began).count(); };
  if (what == "bag") return run_tasks(socket, tasks, false, tasks), tasks / seconds();
  // A chain is submitted whole before its first task ends only if it is short; a task that is waited for later gets no result.
  if (what == "chain") return run_tasks(socket, tasks, true, 1), seconds() / tasks * 1e6;
  std::vector<double> times;
  for (std::uint32_t i = 0; i < tasks; ++i) {
    began = Clock::now();
    run_tasks(socket, 1, false, 1);
    times.push_back(seconds() * 1e6);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return std::fprintf(stderr, "usage: floor_bench bag|chain|ping TASKS WORKERS\n"), 64;
  // The scheduler's address comes through a pipe; sockets must not exist before fork.
  int ends[2];
  if (pipe(ends) != 0) return 1;
  std::vector<pid_t> children;
  children.push_back(fork());
  if (children.back() == 0) {
    Socket socket(ZMQ_ROUTER);
    std::string address = socket.bind();
    address.resize(128);
    if (write(ends[1], address.data(), address.size()) != 128) _exit(1);
    Scheduler().run(socket);
  }
  char address[128];
  if (read(ends[0], address, sizeof address) != sizeof address) return 1;
  for (int i = 0; i < std::atoi(argv[3]); ++i) {
    children.push_back(fork());
    if (children.back() == 0) work(address);
  }
  Socket socket(ZMQ_DEALER);
  socket.connect(address);
  socket.hello(Kind::client);
  auto tasks = static_cast<std::uint32_t>(std::atoi(argv[2]));
  measure(socket, argv[1], tasks);  // warm, and everybody is there
  std::printf("%.1f\n", measure(socket, argv[1], tasks));
  for (pid_t child : children) kill(child, SIGKILL);
  for (pid_t child : children) waitpid(child, nullptr, 0);
}
