// What the cluster was at a moment: levels and counters that only rise, of the whole, of each worker, group and link. A table at
// a past time is a moment; a rate over a range is the difference of two. Moments grow sparser with age, so memory is bounded.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace weft::dashboard {

/// Microseconds since the observer began.
using Micros = std::int64_t;

struct WorkerMoment {
  std::uint32_t worker = 0;
  std::uint8_t status = 0;            // a scheduler::WorkerStatus
  std::uint32_t running = 0, queued = 0, assigned = 0;
  std::uint64_t managed = 0, spilled = 0, process = 0;   // bytes
  std::uint64_t finished = 0, failed_attempts = 0, received = 0, sent = 0;
  double busy_s = 0;                  // slot seconds that ran something
  Micros heard = 0;
  std::uint64_t unmanaged() const { return process > managed ? process - managed : 0; }
};
/// What workers hold of a group's values, bytes.
struct HeldByGroup {
  std::uint64_t memory = 0, disk = 0;
  std::uint64_t copies = 0;           // of both: what is there once more
  std::uint64_t values = 0;
};
struct GroupMoment {
  std::uint32_t group = 0;
  std::array<std::uint32_t, 6> counts{};   // by scheduler::TaskState
  std::uint64_t total = 0, finished = 0, failed_tasks = 0, failed_attempts = 0, retried = 0, bytes = 0, transfer_bytes = 0;
  double run_s = 0;
  HeldByGroup held;
};
struct LinkMoment {
  std::uint32_t from = 0, to = 0;
  std::uint64_t bytes = 0, transfers = 0;
};
struct Totals {
  std::array<std::uint64_t, 6> tasks{};
  std::uint64_t finished = 0, failed_tasks = 0, failed_attempts = 0, retried = 0, transitions = 0, transfers = 0, transfer_bytes = 0, recalls = 0;
  std::uint64_t lost_workers = 0, dropped = 0, steps = 0, unknown_source_bytes = 0;
  std::uint32_t clients = 0;
  double step_s = 0;
};
struct Moment {
  Micros t = 0;
  Totals totals;
  std::vector<WorkerMoment> workers;   // by id
  std::vector<GroupMoment> groups;     // by id
  std::vector<LinkMoment> links;       // by (from, to)

  std::size_t bytes() const {
    return sizeof *this + workers.size() * sizeof(WorkerMoment) + groups.size() * sizeof(GroupMoment) + links.size() * sizeof(LinkMoment);
  }
  const WorkerMoment* worker(std::uint32_t id) const;
  const GroupMoment* group(std::uint32_t id) const;
  const LinkMoment* link(std::uint32_t from, std::uint32_t to) const;
};

class Moments {
 public:
  explicit Moments(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  void add(Moment moment);
  /// The last one not after `t`; null when everything held is later.
  const Moment* at(Micros t) const;
  const std::vector<std::unique_ptr<const Moment>>& all() const { return moments_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void thin();
  std::size_t bytes_max_, bytes_ = 0;
  std::vector<std::unique_ptr<const Moment>> moments_;
};

}  // namespace weft::dashboard
