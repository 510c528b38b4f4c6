// What tasks do in the checks: honest ones, whose results are hashes of what they were given, and bad ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weft::reliability {

using Block = std::vector<std::uint64_t>;

/// A number that depends on all of them.
std::uint64_t mix(std::uint64_t number, std::uint64_t with);
/// `size` words that depend on the number and on every word of the inputs. Takes `microseconds`.
Block grow(std::uint64_t number, const std::vector<Block>& inputs, std::uint32_t size, std::uint32_t microseconds);
std::uint64_t digest(std::uint64_t number, const std::vector<Block>& inputs);

/// Adds its number to a file in the folder, each time it runs: one file, for what a disk needs to make many is not measured here.
int leave_trace(std::string folder, int number, int microseconds);
/// How often all ran.
std::uint64_t traces(const std::string& folder);
/// How often each ran so far.
class Traces {
 public:
  explicit Traces(const std::string& folder);
  std::uint64_t operator[](int number) const;

 private:
  std::vector<std::uint32_t> runs_;  // by number
};

int increment(int number);
int rest(int number, int microseconds);

}  // namespace weft::reliability
