// Users' programs on this worker: which of their files are here, unchanged, and how to start them as executors. A file is taken
// from where the client has it when the same bytes are there (one machine, a shared disk, an image with the program in it);
// otherwise it is fetched and kept in a private folder, named by its hash, so a second program shares it. A program from a
// system with a newer glibc is started by that system's own loader and libraries.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include <weft/value.h>

#include "common/messages.h"
#include "common/open_file.h"
#include "worker/process_executors.h"

namespace weft::worker {

class Programs {
 public:
  /// `folder`: where fetched files are kept; made when the first one comes.
  explicit Programs(std::string folder) : folder_(std::move(folder)) {}

  /// Learn of a program; returns the keys of files that must be fetched. Reads and hashes the files that are here.
  std::vector<Key> add(const DefineProgram& program);
  /// Whether this key is a file that somebody waits for.
  bool awaits(const Key& file) const { return awaited_.contains(file); }
  /// A file came; returns the programs that can start now, or can never.
  std::vector<Key> provide(const Key& file, const Value& value);

  enum class State { unknown, incomplete, ready, bad };
  State state(const Key& program) const;
  /// How to start it now; the failure says why it cannot be started. A file that changed since it was checked is checked again:
  /// only what has the announced hash is started, and a process during whose start a file changed must not be used, so ask again
  /// when it is there.
  Result<ProgramSpec> spec(const Key& program);

 private:
  /// Where a file is, as it was when its bytes were checked.
  struct Place {
    std::string path;
    FileStamp stamp;
    bool settled = false;                 // when they were checked
    std::shared_ptr<const OpenFile> file;
  };
  struct Program {
    ProgramSetup setup;                 // without the files that are not needed here
    bool own_loader = false;            // starts with the shipped loader: ours is too old for it
    std::map<Key, Place> places;        // by file key
    Failure bad;
  };
  static std::optional<Place> check(const std::string& path, const ProgramFile& wanted);
  static bool still_holds(Place& place, const ProgramFile& wanted);
  std::string kept_at(const ProgramFile& file) const;
  Result<std::string> keep(const ProgramFile& file, std::span<const std::byte> bytes);

  std::string folder_;
  std::map<Key, Program> programs_;
  std::map<Key, std::set<Key>> awaited_;  // file to programs
};

}  // namespace weft::worker
