// A46, A50: what can be seen of the code itself.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <regex>

#include "common/codec.h"
#include "common/messages.h"
#include "reliability/check.h"
#include "support/scheduler_harness.h"

namespace {

long live_allocations = 0;  // of the one thread that looks
// The allocation that fails next, counted on the thread that asked for it; 0: none.
thread_local bool counting = false;
thread_local long failing_allocation = 0;

void* allocate(std::size_t size) {
  if (failing_allocation > 0 && --failing_allocation == 0) throw std::bad_alloc();
  void* memory = std::malloc(size ? size : 1);
  if (!memory) throw std::bad_alloc();
  live_allocations += counting;
  return memory;
}
void release(void* memory) {
  live_allocations -= counting && memory;
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }

namespace weft::reliability {

namespace fs = std::filesystem;

namespace {

/// A small life of a scheduler: clients and workers come, a graph runs, a worker is lost, all is released.
void tell_a_story() {
  using namespace weft::test;
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  s.submit({task("x"), task("y").on(key_of("x")), task("z").on(key_of("x"), key_of("y"))});
  s.lose(a);
  (void)b;
}

void encode_and_decode() {
  WorkerHello hello{.protocol_min = 1, .protocol_max = 1, .name = std::string(100, 'n'), .endpoint = std::string(100, 'e'), .secret = Bytes(16), .host = "h"};
  for (std::uint64_t i = 0; i < 20; ++i) hello.held.push_back({});
  std::vector<WorkerMessage> messages{hello};
  auto back = decode<std::vector<WorkerMessage>>(encode(messages));
  need(static_cast<bool>(back), "a message does not come back");
}

struct Failures {
  long tried = 0, leaked = 0;
};
/// Has each allocation fail in turn, until one run needs no more than those.
Failures fail_each(void (*story)(), long most) {
  story();  // what is made once stays
  Failures seen;
  for (long n = 1; n <= most; ++n) {
    long before = live_allocations;
    bool failed = false;
    counting = true;
    failing_allocation = n;
    try {
      story();
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    failing_allocation = 0;
    counting = false;
    seen.leaked += live_allocations != before;
    if (!failed) break;
    ++seen.tried;
  }
  return seen;
}

}  // namespace

// A46
Outcome failing_allocations(Scale scale) {
  const long most = scale == Scale::quick ? 300 : 1'000'000;
  Failures state = fail_each(tell_a_story, most), codec = fail_each(encode_and_decode, most);
  return judged(state.leaked + codec.leaked == 0 && state.tried > 0 && codec.tried > 0,
                "a scheduler's state: " + std::to_string(state.tried) + " failed allocations, " + std::to_string(state.leaked) + " leaks; codec: " +
                    std::to_string(codec.tried) + " and " + std::to_string(codec.leaked) + "; no crash (a state is not used again after one)");
}

// A50
Outcome style(Scale) {
  const fs::path source = WEFT_SOURCE_DIR;
  const std::regex state_file("(scheduler|worker)/(state[a-z_]*|assignment|placement|choosing|recall)\\.cpp|client/session_(state|keys)\\.cpp");
  const std::regex begins("^[A-Za-z].*\\b([A-Za-z_]+)\\([^;]*$");
  std::size_t functions = 0, checks = 0, longest = 0, recursive = 0;
  std::string where;
  for (const char* folder : {"scheduler", "worker", "client"})
    for (const auto& entry : fs::directory_iterator(source / folder)) {
      std::string name = fs::relative(entry.path(), source).string();
      if (!std::regex_match(name, state_file)) continue;
      std::ifstream in(entry.path());
      std::string function;
      std::size_t lines = 0;
      for (std::string line; std::getline(in, line);) {
        std::smatch match;
        for (std::size_t at = 0; (at = line.find("WEFT_CHECK(", at)) != line.npos; ++at) ++checks;
        if (std::regex_search(line, match, begins) && line.ends_with("{")) function = match[1], lines = 0, ++functions;
        else if (line == "}") function.clear();
        if (function.empty()) continue;
        ++lines;
        if (lines > longest) longest = lines, where = function + " of " + name;
        // A call of a function's own name on ourselves.
        if (lines > 1 && std::regex_search(line, std::regex("(^|[^.>:A-Za-z_])" + function + "\\(")) && line.find("//") == line.npos) ++recursive;
      }
    }
  double density = static_cast<double>(checks) / static_cast<double>(functions);
  char text[200];
  std::snprintf(text, sizeof text, "%zu functions of states with %zu always-on checks (%.2f each) beside the recount of State::check; %zu call their own name; the longest has %zu lines (%s)",
                functions, checks, density, recursive, longest, where.c_str());
  return judged(longest <= 60 && recursive == 0 && density >= 2, text);
}

}  // namespace weft::reliability
