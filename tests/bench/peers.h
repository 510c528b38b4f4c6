// The peers of the same run: Dask and Ray as long-lived programs that are asked one workload at a time and stopped in between, so
// that they take nothing from whoever is measured next; the libzmq floor and iperf3 once each. None of them is needed.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/workloads.h"
#include "common/process.h"

namespace weft::bench {

struct PeerSample {
  double value = 0;                      // in the workload's metric
  std::map<std::string, double> more;
};

/// One peer with one number of workers.
class PeerSession {
 public:
  PeerSession(const std::string& peer, const std::string& folder, std::vector<std::string> arguments);
  ~PeerSession();
  /// Nothing, and why on stderr, if the peer cannot do it.
  std::optional<PeerSample> ask(const std::string& workload, bool warm);
  /// False: it died, or was too slow once, and what it says next would be about something else.
  bool answers() const { return answers_still_; }

 private:
  std::optional<std::string> read_line();
  void everybody(int signal);

  std::string name_, folder_;
  int answers_ = -1, questions_ = -1;
  std::string read_;
  bool answers_still_ = true;
  std::optional<ChildProcess> process_;
};

class Peers {
 public:
  /// `names`: of "dask" (the fastest, and the newest) and "ray"; `folder`: where they are installed.
  Peers(std::vector<std::string> names, std::string folder) : names_(std::move(names)), folder_(std::move(folder)) {}
  /// Every peer that knows the workload runs it; values by the peer's name are appended.
  void measure(const Workload& workload, bool first, std::map<std::string, std::vector<PeerSample>>& values);
  bool any() const { return !names_.empty(); }

 private:
  void ask(const std::string& peer, const std::vector<std::string>& arguments, const Workload& workload, bool first,
           std::map<std::string, std::vector<PeerSample>>& values);
  std::vector<std::string> names_;
  std::string folder_;
  std::map<std::string, std::unique_ptr<PeerSession>> sessions_;  // by peer and arguments; null: it did not start
};

}  // namespace weft::bench
