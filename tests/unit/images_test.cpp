#include "client/images.h"
#include "tests/support/sanitized.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <chrono>
#include <fstream>
#include <future>
#include <thread>

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weft/call.h>

#include "client/symbols.h"
#include "client/throw_trace.h"

using weft::ErrorKind;
using weft::FunctionRef;
using weft::detail::prepare;

namespace images_test {

int add_three(int x) { return x + 3; }

struct Deep {};
[[gnu::noinline]] int inner_thrower(int x) {
  if (x > 2) throw std::runtime_error("chunk (3,4): bad dtype");
  return x;
}
[[gnu::noinline]] int outer_thrower(int x) { return inner_thrower(x) + 1; }

template <class F>
weft::Failure failure_of(F f) {
  try {
    f();
  } catch (...) {
    return weft::symbolised(weft::failure_from_current_exception());
  }
  return {};
}

}  // namespace images_test

using namespace images_test;

namespace {

TEST_CASE("a function named by image and offset is found again") {
  auto call = prepare(add_three, 1);
  auto ref = weft::function_ref(call.thunk, call.target);
  REQUIRE(ref);
  void (*target)() = nullptr;
  auto thunk = weft::resolve_function(*ref, &target);
  REQUIRE(thunk);
  CHECK((*thunk == call.thunk));
  CHECK((target == call.target));
  CHECK(ref->program == *weft::program_id());
  auto lambda = prepare([](int x) { return x; }, 1);
  auto second = weft::function_ref(lambda.thunk, lambda.target);
  REQUIRE(second);
  CHECK(!second->target_image);
  CHECK((*weft::resolve_function(*second, &target) == lambda.thunk));
  CHECK(!target);
}

TEST_CASE("code that was not registered, or is no code, is never returned") {
  auto call = prepare(add_three, 1);
  FunctionRef good = *weft::function_ref(call.thunk, call.target);
  void (*target)() = nullptr;
  auto refused = [&](auto change, ErrorKind kind, std::string_view text) {
    FunctionRef ref = good;
    change(ref);
    auto thunk = weft::resolve_function(ref, &target);
    REQUIRE(!thunk);
    INFO(thunk.error().message);
    CHECK(thunk.error().kind == kind);
    CHECK(thunk.error().message.find(text) != std::string::npos);
  };
  refused([](FunctionRef& r) { r.thunk_offset += 1; }, ErrorKind::protocol_error, "not a registered");
  refused([](FunctionRef& r) { r.thunk_offset = r.target_offset; }, ErrorKind::protocol_error, "not a registered");
  refused([](FunctionRef& r) { r.thunk_image.low ^= 1; }, ErrorKind::program_error, "rebuilt");
  refused([](FunctionRef& r) { r.target_image.high ^= 1; }, ErrorKind::program_error, "rebuilt");
  refused([](FunctionRef& r) { r.target_offset = 0; }, ErrorKind::protocol_error, "outside the executable");
  refused([](FunctionRef& r) { r.target_offset = ~0ull; }, ErrorKind::protocol_error, "outside the executable");
  refused([](FunctionRef& r) { r.thunk_offset = 1ull << 40; }, ErrorKind::protocol_error, "outside the executable");
}

TEST_CASE("code made at run time cannot be named") {
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(page != MAP_FAILED);
  CHECK_THROWS_AS(prepare(reinterpret_cast<int (*)(int)>(page), 1), weft::InvalidArgument);
  auto call = prepare(add_three, 1);
  auto ref = weft::function_ref(call.thunk, reinterpret_cast<void (*)()>(page));
  REQUIRE(!ref);
  CHECK(ref.error().kind == ErrorKind::invalid_argument);
  munmap(page, 4096);
}

TEST_CASE("the files of the program are listed with their hashes, the program first") {
  auto files = weft::program_files();
  REQUIRE(files);
  REQUIRE(!files->empty());
  CHECK(files->front().main);
  char self[4096] = {};
  REQUIRE(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  CHECK(files->front().path == self);
  bool has_library = false;
  for (const auto& file : *files) {
    CHECK(file.sha256.size() == (file.system ? 0 : 64));
    CHECK(file.size > 0);
    CHECK((file.system || !file.path.starts_with("/usr/lib/")));
    has_library |= file.path.find("libweft") != std::string::npos;
  }
  CHECK(has_library);
}

TEST_CASE("naming and finding are cheap on repeat") {
  auto call = prepare(add_three, 1);
  FunctionRef ref = *weft::function_ref(call.thunk, call.target);
  void (*target)() = nullptr;
  constexpr int count = 100'000;
  auto per_call = [&](auto f) {
    auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) f();
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / count;
  };
  double name = per_call([&] { static_cast<void>(weft::function_ref(call.thunk, call.target)); });
  double find = per_call([&] { static_cast<void>(weft::resolve_function(ref, &target)); });
  double code = per_call([&] { weft::detail::name_code(call.target, {}); });
  MESSAGE("ns: function_ref " << name << ", resolve_function " << find << ", name_code " << code);
  CHECK(name < 2000 * weft::test::slowness);  // generous: the machine may be busy
  CHECK(find < 2000 * weft::test::slowness);
}

// A child program, compiled here, in a folder that the test may change under it.
const std::string root = WEFT_SOURCE_DIR;
const std::string compiler = "g++ -std=c++20 -I" + root + " -I" + root + "/client/include -I" + root + "/common/include ";
struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/weft-images-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  int run(const std::string& command) const { return WEXITSTATUS(std::system(("cd " + path + " && " + command).c_str())); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path + "/" + name) << text; }
};

TEST_CASE("functions of a library that is opened later are found, and gone when it is closed") {
  Folder folder;
  folder.write("lib.cpp", R"(
#include <weft/call.h>
extern "C" int triple(int x) { return 3 * x; }
extern "C" void prepare_triple(weft::detail::PreparedCall* out) { *out = weft::detail::prepare(triple, 5); }
)");
  REQUIRE(folder.run(compiler + "-O1 -shared -fPIC lib.cpp -o lib.so") == 0);
  weft::Key before = *weft::program_id();
  void* library = dlopen((folder.path + "/lib.so").c_str(), RTLD_NOW);
  REQUIRE_MESSAGE(library, dlerror());
  CHECK(*weft::program_id() != before);
  FunctionRef ref;
  void (*target)() = nullptr;
  {
    weft::detail::PreparedCall call;
    reinterpret_cast<void (*)(weft::detail::PreparedCall*)>(dlsym(library, "prepare_triple"))(&call);
    CHECK(call.label == "triple");
    ref = *weft::function_ref(call.thunk, call.target);
    CHECK((*weft::resolve_function(ref, &target) == call.thunk));
    CHECK(reinterpret_cast<int (*)(int)>(target)(2) == 6);
  }
  // Inline variables may pin a library (STB_GNU_UNIQUE); then it stays, and must stay callable.
  dlclose(library);
  bool still_there = dlopen((folder.path + "/lib.so").c_str(), RTLD_NOW | RTLD_NOLOAD) != nullptr;
  CHECK(bool(weft::resolve_function(ref, &target)) == still_there);
}

TEST_CASE("a program whose file was rebuilt while it runs is told so" * doctest::skip(weft::test::sanitized)) {
  Folder folder;
  auto source = [](int number) {
    return R"(
#include <cstdio>
#include <cstdlib>
#include <weft/weft.h>
#include "client/images.h"
int number() { return )" + std::to_string(number) + R"(; }
int main(int argc, char** argv) {
  if (argc > 1 && std::system(argv[1]) != 0) return 9;
  if (argc > 2) return weft::Client("").submit(number).result();
  auto id = weft::program_id();
  if (id) return 0;
  std::puts(id.error().message.c_str());
  return id.error().kind == weft::ErrorKind::program_changed ? 3 : 4;
}
)";
  };
  folder.write("a.cpp", source(1));
  folder.write("b.cpp", source(2));
  char self[4096] = {};
  REQUIRE(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  std::string libraries = std::string(self).substr(0, std::string(self).rfind('/'));
  std::string compile = compiler + "-L" + libraries + " -Wl,-rpath," + libraries + " ";
  REQUIRE(folder.run(compile + "a.cpp -lweft -o a") == 0);
  REQUIRE(folder.run(compile + "b.cpp -lweft -o b") == 0);
  CHECK(folder.run("cp a prog && ./prog") == 0);
  CHECK(folder.run("./prog 'cp b prog.new && mv prog.new prog' >out") == 3);
  CHECK(folder.run("grep -q 'prog was rebuilt or replaced' out") == 0);
  // The same bytes again are no change, and a removed file is one.
  CHECK(folder.run("cp a prog && ./prog 'cp a prog.new && mv prog.new prog'") == 0);
  CHECK(folder.run("./prog 'rm prog' >out") == 3);
  // An embedded cluster runs what is mapped: no file has to travel.
  CHECK(folder.run("cp a prog && ./prog 'rm prog' embedded") == 1);
}

TEST_CASE("a frame of a file that is not here keeps what its process knew") {
  weft::Frame frame{.image = "/nowhere/app", .build = weft::KeyHasher().add("x").finish(), .offset = 0x10, .symbol = "f(int)"};
  CHECK(weft::symbolise({&frame, 1}) == "  at f(int) (/nowhere/app+0x10)\n");
}

TEST_CASE("an exception is told with its type, text and the stack of its throw") {
  weft::ThrowTrace::Scope scope;
  auto failure = failure_of([] { outer_thrower(5); });
  CHECK(failure.kind == ErrorKind::task_error);
  CHECK(failure.type == "std::runtime_error");
  CHECK(failure.message == "chunk (3,4): bad dtype");
  INFO(failure.traceback);
  CHECK(failure.traceback.find("inner_thrower") != std::string::npos);
  CHECK(failure.traceback.find("outer_thrower") != std::string::npos);
  CHECK(failure.traceback.find("inner_thrower") < failure.traceback.find("outer_thrower"));
  CHECK(failure.traceback.find("images_test.cpp:") != std::string::npos);
}

TEST_CASE("without a scope nothing is recorded, and exceptions work as ever") {
  auto failure = failure_of([] { outer_thrower(5); });
  CHECK(failure.message == "chunk (3,4): bad dtype");
  CHECK(failure.traceback.empty());
}

TEST_CASE("rethrown, kept and nested exceptions keep their first throw and their causes") {
  weft::ThrowTrace::Scope scope;
  auto rethrown = failure_of([] {
    try {
      outer_thrower(5);
    } catch (...) {
      try {
        throw std::logic_error("inside");   // another throw in between
      } catch (const std::logic_error&) {
      }
      throw;
    }
  });
  CHECK(rethrown.traceback.find("inner_thrower") != std::string::npos);
  auto kept = failure_of([] {
    std::exception_ptr pointer;
    try {
      outer_thrower(5);
    } catch (...) {
      pointer = std::current_exception();
    }
    std::rethrow_exception(pointer);
  });
  CHECK(kept.traceback.find("inner_thrower") != std::string::npos);
  auto nested = failure_of([] {
    try {
      outer_thrower(5);
    } catch (...) {
      std::throw_with_nested(std::invalid_argument("cannot read block 7"));
    }
  });
  CHECK(nested.message == "cannot read block 7\ncaused by std::runtime_error: chunk (3,4): bad dtype");
}

TEST_CASE("exceptions of any type are told") {
  CHECK(failure_of([] { throw 42; }).message == "42");
  CHECK(failure_of([] { throw "text"; }).message == "text");
  CHECK(failure_of([] { throw std::string("string"); }).message == "string");
  auto deep = failure_of([] { throw Deep(); });
  CHECK(deep.type == "images_test::Deep");
  CHECK(deep.message.find("not a std::exception") != std::string::npos);
  auto weft_error = failure_of([] { throw weft::DataLost("gone"); });
  CHECK(weft_error.type == "weft::DataLost");
  auto huge = failure_of([] { throw std::runtime_error(std::string(10 << 20, 'x')); });
  CHECK(huge.message.size() < 70'000);
  // Thrown in another thread, which records nothing.
  weft::ThrowTrace::Scope scope;
  auto other = failure_of([] { std::async(std::launch::async, [] { return outer_thrower(5); }).get(); });
  CHECK(other.message == "chunk (3,4): bad dtype");
}

}  // namespace

TEST_CASE("the sentence of an error names the innermost line that is not the C library's") {
  auto said = [](const char* traceback) {
    return std::string(weft::TaskCrashed({.kind = weft::ErrorKind::task_crashed, .message = "died", .traceback = traceback}).what());
  };
  CHECK(said("  at __pthread_kill_implementation (./nptl/pthread_kill.c:44)\n  at __GI_raise (raise.c:26)\n  at deep(int) (steps.cpp:12)\n") ==
        "TaskCrashed: died at deep(int) (steps.cpp:12)");
  CHECK(said("  at __GI_raise (raise.c:26)") == "TaskCrashed: died");
  CHECK(said("  at f() (/bin/app+0x12)\n  at main (app.cpp:3)") == "TaskCrashed: died");
}
