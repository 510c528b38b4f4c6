// The client processes of a chaos run, and what they wrote.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/process.h"
#include "reliability/cluster.h"

namespace weft::reliability {

class ChaosClients {
 public:
  ChaosClients(Cluster& cluster, std::string folder, std::uint64_t seed, std::size_t count);
  std::size_t size() const { return running_.size(); }
  /// Kill one and start another in its place.
  void replace(std::size_t i);
  /// Graphs that ended, over all clients.
  std::uint64_t graphs() const { return count("tasks "); }
  /// Have them end their last graphs; what is wrong, in words.
  std::string finish(Duration patience);
  /// Lines with something wrong in them.
  std::string wrong() const;
  std::uint64_t tasks() const;

 private:
  std::uint64_t count(const std::string& word) const;
  void start(std::size_t i);
  std::vector<std::string> lines() const;

  Cluster& cluster_;
  std::string folder_;
  std::uint64_t next_seed_;
  std::vector<std::optional<ChildProcess>> running_;
};

}  // namespace weft::reliability
