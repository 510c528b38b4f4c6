// A folder of this process alone, in memory, for targets that read files.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "fuzz.h"

namespace weft::fuzz {

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp") + std::string("/fuzz-XXXXXX");
    promise(mkdtemp(name.data()) != nullptr, "there is room for a folder");
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

  std::string write(const std::string& name, Input bytes) const {
    std::string path = path_ + '/' + name;
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return path;
  }
  static Bytes read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return bytes_of(std::string(std::istreambuf_iterator<char>(file), {}));
  }

 private:
  std::string path_;
};

/// Change a file as the input says: up to 16 places get other bytes, and sometimes the end is missing or there is more of it.
inline void damage(Bytes& file, Source& source) {
  for (std::size_t i = source.below(17); i > 0 && !file.empty(); --i) {
    std::size_t at = (source.byte() << 16 | source.byte() << 8 | source.byte()) % file.size();
    file[at] ^= std::byte(source.byte() | 1);
  }
  if (source.one_in(4) && !file.empty()) file.resize((source.byte() << 16 | source.byte() << 8 | source.byte()) % file.size());
  if (source.one_in(8)) file.resize(file.size() + source.byte());
}

}  // namespace weft::fuzz
