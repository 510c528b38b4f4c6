// The functions that the executor tests run, named by number in FunctionRef::thunk_offset. Shared by the tests (threads) and
// by their child program (processes).
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "worker/run_function.h"
#include "worker/task_context.h"

namespace weft::test {

using namespace weft::worker;

enum Function : std::uint64_t {
  echo = 1, big, throw_error, throw_int, throw_long, segfault, abort_it, exit_it, spin, print, flood, illegal, overflow, hoard,
  close_all, ask, no_value, process_id, sum_inputs, environment_has, kill_self, ask_thread, thread_id, leak,
};

inline void reply(detail::Call& call, std::span<const std::byte> part) {
  std::uint64_t size = part.size();
  auto places = lay_out_value(call.result->place(value_size({&size, 1})), 7, {&size, 1});
  std::copy(part.begin(), part.end(), places[0].begin());
}
inline void reply(detail::Call& call, std::uint64_t number) { reply(call, std::as_bytes(std::span(&number, 1))); }
inline std::uint64_t number_of(std::span<const std::byte> bytes) {
  std::uint64_t number = 0;
  std::memcpy(&number, bytes.data(), std::min(bytes.size(), sizeof number));
  return number;
}
// It never returns: that is what it is for.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winfinite-recursion"
[[gnu::noinline]] inline int deep(volatile int* from) {
  volatile int here[1024];
  here[0] = *from + 1;
  return deep(here) + here[0];
}
#pragma GCC diagnostic pop

inline void run_echo(detail::Call& call) { reply(call, call.arguments); }
inline void run_big(detail::Call& call) {  // `arguments` bytes, each the low byte of its place
  std::uint64_t size = number_of(call.arguments);
  auto places = lay_out_value(call.result->place(value_size({&size, 1})), 7, {&size, 1});
  for (std::uint64_t i = 0; i < size; ++i) places[0][i] = static_cast<std::byte>(i);
}
inline void run_print(detail::Call& call) {
  std::fwrite(call.arguments.data(), 1, call.arguments.size(), stdout);
  reply(call, 0);
}
inline void run_flood(detail::Call& call) {
  std::string line(1023, 'x');
  for (std::uint64_t i = number_of(call.arguments); i-- > 0;) std::printf("%s\n", line.c_str());
  std::printf("the end");
  reply(call, 0);
}
inline void run_hoard(detail::Call& call) {
  static std::vector<std::vector<char>> kept;
  for (;;) kept.emplace_back(16u << 20, 'x');
  reply(call, 0);
}
inline void run_leak(detail::Call& call) {  // a MiB that nobody frees
  char* volatile lost = new char[1u << 20];
  std::memset(lost, 'x', 1u << 20);
  reply(call, static_cast<std::uint64_t>(getpid()));
}
inline void run_ask(detail::Call& call) {  // speaks to the scheduler and waits for its word
  auto* task = TaskContext::current();
  task->log(5, "asking");
  task->progress(0.5);
  task->send({Locate{{task->key()}}});
  auto words = task->wait(Time::never()).messages;
  reply(call, words.empty() ? 0 : std::get<SchedulerTick>(words.at(0)).tick);
}
inline void run_ask_thread(detail::Call& call) {  // the same, and says on which thread
  auto* task = TaskContext::current();
  task->send({Locate{{task->key()}}});
  task->wait(Time::never());
  reply(call, static_cast<std::uint64_t>(gettid()));
}
inline void run_sum_inputs(detail::Call& call) {
  std::uint64_t sum = 0;
  for (const Value& input : call.inputs)
    for (std::byte b : input.part(0).bytes()) sum += static_cast<std::uint64_t>(b);
  reply(call, sum);
}

inline detail::Thunk thunk_of(std::uint64_t function) {
  switch (function) {
    case echo: return run_echo;
    case big: return run_big;
    case throw_error: return [](detail::Call&) { throw std::runtime_error("no such chunk"); };
    case throw_int: return [](detail::Call&) { throw 42; };
    case throw_long: return [](detail::Call&) { throw std::runtime_error(std::string(10u << 20, 'y')); };
    case segfault: return [](detail::Call&) { volatile std::uintptr_t nowhere = 0x10; *reinterpret_cast<volatile int*>(nowhere) = 1; };
    case abort_it: return [](detail::Call&) { std::fprintf(stderr, "inconsistent matrix\n"); std::abort(); };
    case exit_it: return [](detail::Call&) { std::printf("half a line"); std::exit(3); };
    case spin: return [](detail::Call& call) {
      while (!TaskContext::current()->cancelled()) usleep(100);
      reply(call, 0);
    };
    case print: return run_print;
    case flood: return run_flood;
    case illegal: return [](detail::Call&) { __builtin_trap(); };
    case overflow: return [](detail::Call& call) { volatile int zero = 0; reply(call, deep(&zero)); };
    case hoard: return run_hoard;
    case close_all: return [](detail::Call& call) { for (int i = 0; i < 1024; ++i) close(i); reply(call, 0); };
    case leak: return run_leak;
    case ask: return run_ask;
    case ask_thread: return run_ask_thread;
    case thread_id: return [](detail::Call& call) { reply(call, static_cast<std::uint64_t>(gettid())); };
    case no_value: return [](detail::Call&) {};
    case process_id: return [](detail::Call& call) { reply(call, static_cast<std::uint64_t>(getpid())); };
    case sum_inputs: return run_sum_inputs;
    case environment_has: return [](detail::Call& call) {
      std::string name(reinterpret_cast<const char*>(call.arguments.data()), call.arguments.size());
      reply(call, std::getenv(name.c_str()) != nullptr);
    };
    case kill_self: return [](detail::Call&) { raise(SIGKILL); };
    default: return nullptr;
  }
}

inline FunctionRuntime runtime() {
  return {.resolve = [](const FunctionRef& function, void (**)()) -> Result<detail::Thunk> {
            if (auto thunk = thunk_of(function.thunk_offset)) return thunk;
            return failure(ErrorKind::program_error, "no such function");
          },
          .describe_exception = [] {
            Failure what = failure(ErrorKind::task_error, "not a std::exception");
            try {
              throw;
            } catch (const std::exception& e) {
              what.message = e.what();
              what.type = "std::exception";
            } catch (...) {
            }
            return what;
          }};
}

}  // namespace weft::test
