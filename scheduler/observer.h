// What the scheduler's thread tells whoever watches: fixed records in a ring for one writer and one reader. Writing never waits
// and never allocates; when the ring is full the record is dropped and counted. Names and texts travel in the same ring, as a
// record and the raw slots behind it, so that the reader sees everything in order and can keep the slots as its event log.
#pragma once

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "scheduler/task.h"

namespace weft::scheduler {

enum class Seen : std::uint8_t {
  transition = 1,   // key, group, worker, amount: attempt, from, to
  forgotten = 2,    // key, group
  started = 3,      // key, group, worker
  finished = 4,     // key, group, worker, amount: bytes, extra: seconds it ran, as the bits of a float
  unblocked = 5,    // key; amount: low half of the key of the input that arrived last; group, worker: its high half
  transfer = 6,     // key, worker: who got it, extra: from whom (0: not known), amount: bytes; group: of the value
  heartbeat = 7,    // worker; key.high managed, key.low spilled, amount process bytes; group running, extra queued
  status = 8,       // worker, to: a WorkerStatus
  edge = 9,         // group: of the input, worker: group of the reader, amount: how many, to: 1 if of parts of values
  recalled = 10,    // key, group, worker
  step = 11,        // amount: nanoseconds the step took, extra: events in it, group: sessions
  label = 12,       // text: the label of `group`
  joined = 13,      // worker; text: name, host, address, pid, slots, memory limit, each ended by \0
  lost = 14,        // worker; text: why; to: 1 if unexpected
  failed = 15,      // key, group, worker, extra: attempt, to: 1 if it runs again; text: kind, type, message, traceback, output, each ended by \0;
                    // amount: how many like it, if more than one
  log = 16,         // worker, key, extra: level; text
  gap = 17,         // amount: records dropped before this one
  again = 18,       // each task as it is comes between to: 0 and to: 1; who knows others may forget them
  control = 19,     // somebody's verb was obeyed. key, worker: the first it was about; text: verb, by whom, on what, why, each ended by \0
  held = 20,        // key, group, worker: it has a copy that it did not make, amount: bytes
  dropped = 21,     // key, group, worker: it has that copy no more, and others do
};
enum class WorkerStatus : std::uint8_t { running, paused, retiring, disconnected, lost };

struct Sighting {
  Time when;
  Key key;
  std::uint64_t amount = 0;
  std::uint32_t group = 0;
  std::uint32_t worker = 0;
  std::uint32_t extra = 0;
  Seen what{};
  std::uint8_t from = 0;
  std::uint8_t to = 0;
  std::uint8_t text_slots = 0;  // raw slots behind this record; the text's length is in the first two bytes
};
static_assert(sizeof(Sighting) == 48 && std::is_trivially_copyable_v<Sighting>);

/// The two ends of the ring. The scheduler's thread writes, one other reads; `dropped` may be read by anybody.
class Observer {
 public:
  static constexpr std::size_t text_max = 255 * sizeof(Sighting) - 2;

  explicit Observer(std::size_t slots = 1u << 18);  // a power of two; the default is 12 MiB: the largest chunk of a graph

  // The writer.
  bool write(const Sighting& record) { return put(record, {}); }   // false: it was dropped
  /// A longer text is cut. False: it was dropped, so a name is to be said again.
  bool write(Sighting record, std::string_view text) { return put(record, text.substr(0, text_max)); }
  /// Say a group's label before the first record about it; said again until it went through.
  void name_group(Time now, std::uint32_t group, std::string_view label);
  /// One more input edge between groups, of a whole value or of a part; equal ones in a row are one record.
  void edge(std::uint32_t from, std::uint32_t to, bool part) {
    if (edge_.amount != 0 && (edge_.group != from || edge_.worker != to || edge_.to != part)) flush_edges();
    edge_.group = from;
    edge_.worker = to;
    edge_.to = part;
    ++edge_.amount;
  }
  void flush_edges();

  // The reader: whole records with their texts, in order, at most so many slots. Returns a view that is valid until `consume`.
  std::size_t peek(const Sighting*& first) const;
  void consume(std::size_t slots) { read_.store(read_.load(std::memory_order_relaxed) + slots, std::memory_order_release); }

  /// Slots that the writer may fill now. For the writer.
  std::size_t room() const { return size_ - (written_.load(std::memory_order_relaxed) - read_.load(std::memory_order_acquire)); }
  std::size_t size() const { return size_; }

  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  std::uint64_t written() const { return written_.load(std::memory_order_acquire); }

 private:
  bool put(Sighting record, std::string_view text);

  std::size_t size_;
  std::unique_ptr<Sighting[]> ring_;
  alignas(64) std::atomic<std::uint64_t> written_{0};
  std::uint64_t read_seen_ = 0;      // the writer's copy of read_
  std::uint64_t untold_ = 0;         // dropped and not yet said by a gap record
  std::vector<bool> named_;
  Sighting edge_{.what = Seen::edge};
  alignas(64) std::atomic<std::uint64_t> read_{0};
  alignas(64) std::atomic<std::uint64_t> dropped_{0};
};

/// The text behind a record that lies in memory with its slots.
std::string_view text_of(const Sighting* record);
/// The fields of a text, each ended by \0; missing ones are empty.
template <std::size_t N>
std::array<std::string_view, N> fields_of(std::string_view text) {
  std::array<std::string_view, N> fields;
  for (std::string_view& field : fields) {
    std::size_t end = text.find('\0');
    field = text.substr(0, end);
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
  }
  return fields;
}

}  // namespace weft::scheduler
