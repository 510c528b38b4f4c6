// What a client tells workers of its program: the files, the environment of its tasks, the files that it attaches.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/messages.h"

namespace weft::client {

struct DescribedProgram {
  Key program;                        // its name in function references: the images, and how they are started
  ProgramSetup setup;
  std::map<Key, std::string> paths;   // of the files, by the key that workers ask for
};

/// Describe the program whose images hash to `images`. Reads and hashes its files, tens of milliseconds. Fails with
/// program_changed when one was rebuilt, with io_error or invalid_argument when an attached file cannot travel.
Result<DescribedProgram> describe_program(const Key& images, const std::map<std::string, std::string>& environment,
                                          const std::vector<std::string>& attached);

/// A client whose tasks run in this process attaches files: they stay where they are, and are found by name.
void attach_here(const std::vector<std::string>& files);
/// Where a file attached here is; empty if there is none of this name.
std::string attached_here(const std::string& name);

}  // namespace weft::client
