#include "worker/executor_child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "worker/executor_core.h"
#include "worker/executor_crash.h"
#include "worker/executor_surroundings.h"
#include "worker/orphans.h"
#include "worker/run_function.h"

namespace weft::worker {
namespace {

using Sent = ExecutorLink::Sent;
constexpr std::size_t shapes_max = 1024;   // numbers of templates known to one process
constexpr std::size_t shown_max = 32;      // segments mapped by one process

// How often the kernel has killed for memory, in our cgroup if it says so, else on this machine.
std::uint64_t oom_kills() {
  for (const char* file : {"/sys/fs/cgroup/memory.events", "/proc/vmstat"}) {
    std::ifstream in(file);
    std::string name;
    for (std::uint64_t count; in >> name >> count;)
      if (name == "oom_kill") return count;
  }
  return 0;
}

Failure system_failure(const char* what) {
  return failure(ErrorKind::io_error, std::string("cannot start an executor: ") + what + ": " + std::strerror(errno));
}

}  // namespace

ExecutorChild::ExecutorChild(std::uint64_t number, const Key& program, const ProgramSpec& spec, const ProcessOptions& options,
                             ExecutorBoard board, int socket, int pipe)
    : number(number), program(program), name(spec.name.empty() ? spec.path : spec.name),
      brand(new_brand()),
      folder(options.scratch.empty() ? "" : options.scratch + "/executor-" + std::to_string(number)), output(pipe, options.echo_output),
      link_(std::move(board), socket), shapes_(shapes_max), core_folder_(options.core_folder), oom_kills_(oom_kills()) {
  for (std::uint32_t i = ExecutorBoard::claims_max; i-- > 0;) claims_free_.push_back(i);
}

ExecutorChild::~ExecutorChild() {
  for (Shown& shown : answers_)
    if (shown.descriptor >= 0 && shown.answer.value.memory == temporary_memory) close(shown.descriptor);
  if (process >= 0) close(process);
  std::error_code ignored;
  if (!folder.empty()) std::filesystem::remove_all(folder, ignored);
}

Result<std::unique_ptr<ExecutorChild>> ExecutorChild::start(std::uint64_t number, const Key& program, const ProgramSpec& spec,
                                                            const ProcessOptions& options, Containment& containment,
                                                            int bell, ExecutorSpawner& spawner) {
  auto board = ExecutorBoard::create();
  if (!board) return board.error();
  int memory = board->descriptor();
  int sockets[2], pipes[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) return system_failure("socketpair");
  if (pipe2(pipes, O_CLOEXEC) != 0) {
    Failure why = system_failure("pipe");
    close(sockets[0]), close(sockets[1]);
    return why;
  }
  fcntl(pipes[0], F_SETFL, O_NONBLOCK);
  std::unique_ptr<ExecutorChild> child(
      new ExecutorChild(number, program, spec, options, std::move(*board), sockets[0], pipes[0]));
  if (Result<void> made = child->folder.empty() ? Result<void>{} : make_executor_folder(child->folder, spec); !made) {
    close(sockets[1]), close(pipes[1]);
    return made.error();
  }
  const bool dumps = !options.core_folder.empty();
  SpawnOrder order{.child = number, .folder = options.start_in_folder || dumps ? child->folder : "", .socket = sockets[1],
                   .output = pipes[1], .memory_limit = options.memory_limit, .core_files = dumps};
  order.words = options.wrapper;
  order.words.push_back(spec.path);
  order.words.insert(order.words.end(), spec.arguments.begin(), spec.arguments.end());
  order.path = find_program(order.words[0]);
  if (order.path.empty()) order.path = order.words[0];
  order.environment = executor_environment(spec, options, child->folder);
  order.restraints = containment.restraints(child->folder, child->brand);
  // A wrapper, and a loader of the program's own, open it by its path.
  if (options.wrapper.empty()) order.image = spec.image;
  std::byte hello[1] = {};
  if (!send_descriptor(sockets[0], hello, memory) || !send_descriptor(sockets[0], hello, bell)) {
    close(sockets[1]), close(pipes[1]);
    return system_failure("sendmsg");
  }
  child->since = monotonic_now();
  spawner.post(std::move(order));
  return child;
}

Result<Sent> ExecutorChild::offer(Run& run, bool nested, Duration expected, const ValueBridge& values) {
  if (claims_free_.empty()) return Sent::full;
  RunRecord record{.attempt = run.attempt, .claim = claims_free_.back(), .nested = nested, .key = run.key,
                   .try_number = run.try_number};
  ++uses_;
  if (Sent sent = define(run.shape, record.shape); sent != Sent::done) return sent;
  Result<Sent> described = describe_inputs(run, record, values);
  if (!described || *described != Sent::done) return described;
  link_.board.shared().claims[record.claim].offer(run.attempt);
  encoder_.clear();
  record.arguments = std::move(run.arguments);
  encoder_.put_as<ExecutorBound>(record);
  run.arguments = std::move(record.arguments);  // it may be taken back
  if (Sent sent = link_.send(link_.board.runs, encoder_.bytes()); sent != Sent::done) {
    link_.board.shared().claims[record.claim].take_back(run.attempt);
    return sent;
  }
  claims_free_.pop_back();
  silent_ = false;
  expected_ += expected;
  in_flight.push_back({.run = std::move(run), .claim = record.claim, .expected = expected});
  drop_old_memory();
  return Sent::done;
}

Sent ExecutorChild::define(const std::shared_ptr<const Template>& shape, std::uint32_t& number) {
  if (auto known = shape_numbers_.find(shape.get()); known != shape_numbers_.end()) return number = known->second, Sent::done;
  number = next_shape_;
  Sent sent = link_.send(link_.board.runs, encode_as<ExecutorBound>(DefineShape{number, *shape}));
  if (sent != Sent::done) return sent;
  next_shape_ = (next_shape_ + 1) % shapes_max;
  if (shapes_[number]) shape_numbers_.erase(shapes_[number].get());
  shapes_[number] = shape;
  shape_numbers_[shape.get()] = number;
  return sent;
}

// Small inputs go inside the frame, those in segments by name; what is left shares one temporary memory.
Result<Sent> ExecutorChild::describe_inputs(const Run& run, RunRecord& record, const ValueBridge& values) {
  std::uint64_t temporary_bytes = 0;
  int temporary = -1;
  Sent sent = Sent::done;
  for (const Value& value : run.inputs) {
    auto bytes = value.block().bytes();
    InputRecord& input = record.inputs.emplace_back();
    if (bytes.size() < small_value_max) {
      input.bytes.assign(bytes.begin(), bytes.end());
      continue;
    }
    SegmentRange range = values.locate(value);
    if (range.descriptor >= 0 && range.segment != 0) {
      input = {range.segment, range.offset, bytes.size(), {}};
      sent = show(range.segment, false, range.descriptor);
      if (sent != Sent::done) break;
      continue;
    }
    if (temporary < 0) temporary = make_memory("weft-inputs", {});
    input = {temporary_memory | (temporaries_ + 1), temporary_bytes, bytes.size(), {}};
    for (std::size_t at = 0; at < bytes.size();) {
      ssize_t wrote = pwrite(temporary, bytes.data() + at, bytes.size() - at, static_cast<off_t>(temporary_bytes + at));
      if (wrote <= 0) {
        Failure why = failure(ErrorKind::memory_limit, std::string("no shared memory for the task's inputs: ") + std::strerror(errno));
        if (temporary >= 0) close(temporary);
        return why;
      }
      at += static_cast<std::size_t>(wrote);
    }
    temporary_bytes += (bytes.size() + value_alignment - 1) / value_alignment * value_alignment;
  }
  if (temporary >= 0) {
    if (sent == Sent::done) sent = link_.pass(temporary_memory | ++temporaries_, false, temporary);
    close(temporary);
  }
  return sent;
}

Sent ExecutorChild::show(std::uint64_t memory, bool writable, int descriptor) {
  auto [place, is_new] = shown_.try_emplace({memory, writable}, uses_);
  place->second = uses_;
  if (!is_new) return Sent::done;
  Sent sent = link_.pass(memory, writable, descriptor);
  if (sent != Sent::done) shown_.erase(place);
  return sent;
}

void ExecutorChild::drop_old_memory() {
  while (shown_.size() > shown_max) {
    auto oldest = std::ranges::min_element(shown_, {}, [](const auto& entry) { return entry.second; });
    if (oldest->second == uses_) return;  // all are of the newest run
    auto [memory, writable] = oldest->first;
    if (link_.send(link_.board.runs, encode_as<ExecutorBound>(ForgetMemory{memory, writable})) != Sent::done) return;
    shown_.erase(oldest);
  }
}

void ExecutorChild::forget(std::uint64_t segment) {
  for (bool writable : {false, true}) {
    auto shown = shown_.find({segment, writable});
    if (shown == shown_.end()) continue;
    if (link_.send(link_.board.runs, encode_as<ExecutorBound>(ForgetMemory{segment, writable})) != Sent::done) continue;
    shown_.erase(shown);
    silent_ = false;
  }
}

std::vector<Run> ExecutorChild::take_back() {
  std::vector<Run> back;
  std::deque<InFlight> stays;
  for (InFlight& it : in_flight) {
    if (claim(it).take_back(it.run.attempt)) {
      claims_free_.push_back(it.claim);
      expected_ -= it.expected;
      back.push_back(std::move(it.run));
    } else {
      stays.push_back(std::move(it));
    }
  }
  in_flight = std::move(stays);
  return back;
}

ExecutorChild::InFlight* ExecutorChild::find(AttemptId attempt) {
  auto found = std::ranges::find_if(in_flight, [&](const InFlight& it) { return it.run.attempt == attempt; });
  return found == in_flight.end() ? nullptr : &*found;
}

ExecutorChild::InFlight ExecutorChild::remove(AttemptId attempt) {
  auto found = std::ranges::find_if(in_flight, [&](const InFlight& it) { return it.run.attempt == attempt; });
  WEFT_CHECK(found != in_flight.end());
  InFlight it = std::move(*found);
  in_flight.erase(found);
  expected_ -= it.expected;
  claims_free_.push_back(it.claim);
  return it;
}

bool ExecutorChild::next(ExecutorNews& news) {
  static thread_local Bytes frame;
  if (!link_.receive(link_.board.news, frame)) return false;
  auto decoded = decode<ExecutorNews>(frame);
  if (!decoded) return link_.damage(), false;
  news = std::move(*decoded);
  return true;
}

void ExecutorChild::grant(const SegmentRange& place) { grants_.push_back(place); }

// Small values go inside the note, those in segments by name, others in memory of their own.
void ExecutorChild::answer(TaskAnswer answer, const ValueBridge& values) {
  Shown shown{{answer.attempt, answer.key, answer.put, {}, {std::move(answer.failure)}}};
  InputRecord& input = shown.answer.value;
  auto bytes = answer.value.block().bytes();
  SegmentRange range = bytes.size() < small_value_max ? SegmentRange{} : values.locate(answer.value);
  if (bytes.size() < small_value_max) {
    input.bytes.assign(bytes.begin(), bytes.end());
  } else if (range.descriptor >= 0 && range.segment != 0) {
    input = {range.segment, range.offset, bytes.size(), {}};
    shown.descriptor = range.descriptor;
  } else {
    input = {temporary_memory, 0, bytes.size(), {}};
    shown.descriptor = make_memory("weft-value", bytes);
    if (shown.descriptor < 0)
      shown.answer.failure.failure = failure(ErrorKind::memory_limit, "no shared memory for a result of " + std::to_string(bytes.size()) + " bytes");
    if (shown.descriptor < 0) input = {};
  }
  answers_.push_back(std::move(shown));
}

bool ExecutorChild::flush_answers() {
  for (; !answers_.empty(); answers_.pop_front()) {
    Shown& shown = answers_.front();
    InputRecord& input = shown.answer.value;
    if (input.memory == temporary_memory) {
      std::uint64_t memory = temporary_memory | (temporaries_ + 1);
      if (link_.pass(memory, false, shown.descriptor) != Sent::done) return false;
      ++temporaries_;
      input.memory = memory;
      close(shown.descriptor);
    } else if (input.memory != 0 && show(input.memory, false, shown.descriptor) != Sent::done) {
      return false;
    }
    notes_.push_back(encode(TaskBound(std::move(shown.answer))));
  }
  return true;
}

bool ExecutorChild::flush() {
  bool all = flush_answers();
  while (!grants_.empty() && all) {
    SegmentRange place = grants_.front();
    std::uint64_t memory = place.segment ? place.segment : temporary_memory | (temporaries_ + 1);
    Sent sent = place.segment ? show(memory, true, place.descriptor) : link_.pass(memory, true, place.descriptor);
    all = sent == Sent::done;
    if (!all) break;
    if (place.segment == 0) ++temporaries_;
    note(PlaceGranted{memory, place.offset, place.length, {}});
    grants_.pop_front();
  }
  while (!notes_.empty()) {
    if (link_.send(link_.board.notes, notes_.front()) != Sent::done) {
      all = false;
      break;
    }
    notes_.pop_front();
    silent_ = false;
  }
  if (!std::exchange(silent_, true)) link_.board.wake_executor();
  return all || link_.broken();
}

void ExecutorChild::kill() {
  state = State::dying;
  since = monotonic_now();
  if (pid < 0) return;  // not started yet: killed when it is
  ::kill(-pid, SIGKILL);
  ::kill(pid, SIGKILL);  // it may not have its own group yet, or have left it
}

void ExecutorChild::ask_to_leave() {
  state = State::leaving;
  since = monotonic_now();
  if (link_.send(link_.board.runs, encode_as<ExecutorBound>(LeaveExecutor{})) != Sent::done) return kill();
  link_.board.wake_executor();
}

std::uint64_t ExecutorChild::resident_bytes() const {
  std::ifstream in("/proc/" + std::to_string(pid) + "/statm");
  std::uint64_t size = 0, resident = 0, shared = 0;
  in >> size >> resident >> shared;
  return (resident - std::min(shared, resident)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

Failure ExecutorChild::autopsy(bool wait_for_it) {
  siginfo_t ended{};
  int peek = WEXITED | WNOWAIT | __WALL | (wait_for_it ? 0 : WNOHANG);
  bool ours = waitid(P_PIDFD, static_cast<id_t>(process), &ended, peek) == 0 && ended.si_pid == pid;
  // While it is not reaped its number cannot be another's.
  if (ours) ::kill(-pid, SIGKILL), waitid(P_PIDFD, static_cast<id_t>(process), &ended, WEXITED | __WALL);
  if (adopts_orphans()) kill_orphans(brand);
  const CrashNote& note = link_.board.shared().crash;
  Failure death = failure(ErrorKind::task_crashed, "");
  death.signal = note.signal.load();
  if (ours && ended.si_code == CLD_EXITED) death.signal = 0, death.exit_code = ended.si_status;
  else if (ours) death.signal = ended.si_status;
  bool dumped = ours && ended.si_code == CLD_DUMPED;
  if (death.signal != 0 && death.signal == note.signal.load()) {
    death.address = note.address;
    death.frames = crash_frames(note);
  }
  output.read(link_.board.shared());
  death.output = output.take_rest();
  if (death.signal == 0) {
    death.message = "the process of the task ended with exit code " + std::to_string(death.exit_code) +
                    "; a task returns or throws, it does not exit";
    if (link_.broken()) death.message += " (it closed or damaged its connection to the worker)";
    return death;
  }
  death.message = "the process of the task died of signal " + std::to_string(death.signal) + " (" + strsignal(death.signal) + ")";
  if (death.signal == SIGILL)
    death.message += "; is the program compiled for another CPU? Compile it with a -march that every worker has, such as -march=x86-64-v2";
  if (!core_folder_.empty() && death.signal == note.signal.load()) death.message += "; " + keep_core(pid, folder, core_folder_, dumped);
  if (death.signal == SIGKILL && oom_kills() > oom_kills_) {
    death.kind = ErrorKind::memory_limit;
    death.message = "the kernel killed the process of the task because memory was full";
  } else if (death.signal == SIGKILL) {
    death.message += "; something outside Weft killed it";
  }
  return death;
}

}  // namespace weft::worker
