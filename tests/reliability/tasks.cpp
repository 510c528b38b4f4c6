#include "reliability/tasks.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace weft::reliability {

std::uint64_t mix(std::uint64_t number, std::uint64_t with) {
  // Source: SplitMix64, Steele, Lea, Flood (2014).
  std::uint64_t z = number + with * 0x9e3779b97f4a7c15 + 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::uint64_t digest(std::uint64_t number, const std::vector<Block>& inputs) {
  for (const Block& input : inputs)
    for (std::uint64_t word : input) number = mix(number, word);
  return number;
}

Block grow(std::uint64_t number, const std::vector<Block>& inputs, std::uint32_t size, std::uint32_t microseconds) {
  std::uint64_t start = digest(number, inputs);
  Block block(size);
  for (std::uint32_t i = 0; i < size; ++i) block[i] = mix(start, i);
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
  return block;
}

static std::string file_of(const std::string& folder) { return folder + "/traces"; }

int leave_trace(std::string folder, int number, int microseconds) {
  int file = open(file_of(folder).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0 || write(file, &number, sizeof number) != sizeof number) throw std::runtime_error("no trace can be left in " + folder);
  close(file);
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
  return number;
}

std::uint64_t traces(const std::string& folder) {
  std::error_code none;
  std::uint64_t size = std::filesystem::file_size(file_of(folder), none);
  return none ? 0 : size / sizeof(int);
}
Traces::Traces(const std::string& folder) {
  std::ifstream file(file_of(folder), std::ios::binary);
  for (int number; file.read(reinterpret_cast<char*>(&number), sizeof number);) {
    if (static_cast<std::size_t>(number) >= runs_.size()) runs_.resize(static_cast<std::size_t>(number) + 1);
    ++runs_[static_cast<std::size_t>(number)];
  }
}
std::uint64_t Traces::operator[](int number) const {
  return static_cast<std::size_t>(number) < runs_.size() ? runs_[static_cast<std::size_t>(number)] : 0;
}

int increment(int number) { return number + 1; }
int rest(int number, int microseconds) {
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
  return number;
}

}  // namespace weft::reliability
