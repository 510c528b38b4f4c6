// Landlock: a process gives up rights for itself and all that it starts, for good, whoever its user is. Raw system calls, since
// the C library has no names for them; what the kernel does not know yet is left out (`landlock::version`).
//
// A domain also keeps its processes from tracing, or reading the memory of, processes outside it, whatever its rules say.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace weft::worker::landlock {

// What can be done to files. Numbers of the kernel's interface.
inline constexpr std::uint64_t execute = 1ull << 0, write_file = 1ull << 1, read_file = 1ull << 2, remove_dir = 1ull << 4,
                               remove_file = 1ull << 5, make_char = 1ull << 6, make_dir = 1ull << 7, make_reg = 1ull << 8,
                               make_sock = 1ull << 9, make_fifo = 1ull << 10, make_block = 1ull << 11, make_sym = 1ull << 12,
                               refer = 1ull << 13, truncate = 1ull << 14, ioctl_dev = 1ull << 15;
inline constexpr std::uint64_t all_writes = write_file | remove_dir | remove_file | make_char | make_dir | make_reg | make_sock |
                                            make_fifo | make_block | make_sym | refer | truncate | ioctl_dev;
/// Those among them that a user's program may want in its own folders.
inline constexpr std::uint64_t own_writes = all_writes & ~(make_char | make_block);

/// What is kept to processes of the same domain.
enum Scope : std::uint64_t { no_scope = 0, abstract_sockets = 1ull << 0, signals = 1ull << 1 };

/// The version of the kernel's interface (1: Linux 5.13; 6: signals); 0 if there is none or it is switched off.
int version();

/// Rights that are taken away, and the places where they stay.
class Ruleset {
 public:
  /// Take these rights away everywhere, as far as this kernel knows them. Null if it can do nothing of it.
  static std::shared_ptr<Ruleset> make(std::uint64_t files, std::uint64_t scope);
  ~Ruleset();
  Ruleset(const Ruleset&) = delete;

  /// Leave rights below this folder, or to this file. A place that is not there is passed over.
  void allow(const std::string& path, std::uint64_t files);
  /// Leave rights everywhere but in these folders. The kernel knows no exceptions: everything beside each folder on the way there
  /// is allowed, so what is made later directly in a folder on the way (not deeper) is not.
  void allow_all_but(const std::vector<std::string>& secret, std::uint64_t files);
  int descriptor() const { return descriptor_; }

 private:
  Ruleset(int descriptor, std::uint64_t handled) : descriptor_(descriptor), handled_(handled) {}
  void allow_beside(const std::string& folder, const std::vector<std::string>& secret, std::uint64_t files);
  int descriptor_;
  std::uint64_t handled_;
};

/// Put this process under the rules. Only system calls. False sets errno.
bool restrict_self(int ruleset);

}  // namespace weft::worker::landlock
