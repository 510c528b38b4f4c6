// What a task might try against its worker, the keys and the machine. Each act says whether it got through.
#pragma once

#include <string>
#include <vector>

namespace weft::test {

/// Where things are, as an attacker who knows the machine would know.
struct Target {
  int worker = 0, keeper = 0;
  std::string keys;                 // the key folder
  std::string local;                // the worker's local directory
  std::string home;                 // a folder of our user
  std::string file;                 // a file in it
  std::string scheduler;            // its address for workers
  std::string socket;               // an abstract Unix socket of another process
};

std::size_t count_of_acts();
/// "NAME: refused (why)" or "NAME: GOT THROUGH".
std::string try_act(std::uint64_t number, const Target& target);

}  // namespace weft::test
