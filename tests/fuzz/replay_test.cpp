// Every fuzz target over its corpus, over what its generator makes today, and over a bounded number of mutations that are the same
// in every run; no libFuzzer is needed. WEFT_FUZZ_ROUNDS multiplies the mutations; WEFT_WRITE_CORPUS=1 writes the corpus anew.
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include <doctest/doctest.h>

#include "fuzz.h"

using namespace weft;
using namespace weft::fuzz;

namespace weft::fuzz {
std::vector<Target>& targets() {
  static std::vector<Target> all;
  return all;
}
}  // namespace weft::fuzz

namespace {

constexpr std::size_t rounds_of_a_decoder = 20'000;
constexpr std::size_t input_max = 4096;

Bytes present_input;
const char* present_target = "";

/// The process is about to die: leave the input where `fuzz_NAME FILE` can be run on it.
void on_abort(int) {
  std::string path = std::string("fuzz-failure-") + present_target;
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(present_input.data()), static_cast<std::streamsize>(present_input.size()));
  std::fprintf(stderr, "fuzz: target %s failed; its input is in %s/%s\n", present_target, std::filesystem::current_path().c_str(), path.c_str());
  signal(SIGABRT, SIG_DFL);
}

void feed(const Target& target, Bytes input) {
  present_target = target.name;
  present_input = std::move(input);
  target.run(present_input);
}

std::filesystem::path corpus_of(const Target& target) { return std::filesystem::path(WEFT_SOURCE_DIR) / "tests/fuzz/corpus" / target.name; }

std::vector<Bytes> inputs_of(const Target& target) {
  std::vector<Bytes> inputs;
  for (auto& [name, bytes] : target.seeds()) inputs.push_back(std::move(bytes));
  std::vector<std::filesystem::path> files;
  if (std::filesystem::exists(corpus_of(target)))
    for (const auto& entry : std::filesystem::directory_iterator(corpus_of(target))) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    inputs.push_back(bytes_of(std::string(std::istreambuf_iterator<char>(file), {})));
  }
  return inputs;
}

/// Source: the mutations that AFL and libFuzzer find most with (bytes, interesting numbers, blocks moved, inputs joined).
Bytes mutated(const std::vector<Bytes>& inputs, std::mt19937_64& random) {
  static constexpr std::uint8_t interesting[] = {0, 1, 0x7f, 0x80, 0xff, 0x90, 0xdc, 0xdd, 0xc4, 0xc6, 0xdb, 0xcf, '\n', '"', '%', '<'};
  Bytes bytes = inputs[random() % inputs.size()];
  for (std::uint64_t i = random() % 6 + 1; i > 0; --i) {
    std::size_t at = bytes.empty() ? 0 : random() % bytes.size();
    auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    std::size_t length = bytes.empty() ? 0 : 1 + random() % std::min<std::size_t>(bytes.size() - at, 16);
    switch (bytes.empty() ? 3 : random() % 7) {
      case 0: bytes[at] = std::byte(random()); break;
      case 1: bytes[at] ^= std::byte(1 << random() % 8); break;
      case 2: bytes[at] = std::byte{interesting[random() % std::size(interesting)]}; break;
      case 3: bytes.insert(place, 1 + random() % 8, std::byte(random())); break;
      case 4: bytes.erase(place, place + static_cast<std::ptrdiff_t>(length)); break;
      case 5: {
        Bytes block(place, place + static_cast<std::ptrdiff_t>(length));
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(random() % bytes.size()), block.begin(), block.end());
        break;
      }
      default: {
        const Bytes& other = inputs[random() % inputs.size()];
        bytes.resize(at);
        bytes.insert(bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(std::min(at, other.size())), other.end());
      }
    }
  }
  if (bytes.size() > input_max) bytes.resize(input_max);
  return bytes;
}

void replay(const std::string& name) {
  signal(SIGABRT, on_abort);
  const char* more = std::getenv("WEFT_FUZZ_ROUNDS");
  std::size_t factor = more ? std::strtoull(more, nullptr, 10) : 1;
  for (const Target& target : targets()) {
    if (target.name != name) continue;
    std::vector<Bytes> inputs = inputs_of(target);
    REQUIRE_FALSE(inputs.empty());
    for (const Bytes& input : inputs) feed(target, input);
    std::mt19937_64 random(factor);  // other mutations for a longer run
    for (std::size_t round = factor * rounds_of_a_decoder / static_cast<std::size_t>(target.cost); round > 0; --round) feed(target, mutated(inputs, random));
    signal(SIGABRT, SIG_DFL);
    return;
  }
  FAIL("there is no target " << name);
}

}  // namespace

TEST_CASE("A35: the corpus is there for every target") {
  for (const Target& target : targets()) {
    CAPTURE(target.name);
    if (std::getenv("WEFT_WRITE_CORPUS")) {
      std::filesystem::create_directories(corpus_of(target));
      for (const auto& [name, bytes] : target.seeds())
        std::ofstream(corpus_of(target) / name, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    CHECK(std::filesystem::exists(corpus_of(target)));
  }
  CHECK(targets().size() == 11);
}
TEST_CASE("A35: codec") { replay("codec"); }
TEST_CASE("A35: graph") { replay("graph"); }
TEST_CASE("A35: scheduler") { replay("scheduler"); }
TEST_CASE("A35: worker") { replay("worker"); }
TEST_CASE("A35: client") { replay("client"); }
TEST_CASE("A35: transfer") { replay("transfer"); }
TEST_CASE("A35: text") { replay("text"); }
TEST_CASE("A35: store") { replay("store"); }
TEST_CASE("A35: spill") { replay("spill"); }
TEST_CASE("A35: dashboard") { replay("dashboard"); }
