// What a scheduler must not forget, as rows: intents (graphs, wants, names, sessions) and abnormal outcomes. What workers can
// say themselves (where values are, what runs) and how far pure work has come is deliberately absent.
//
// The state writes records, a store keeps them as rows of bytes, and `State::restore` reads them back in the order of kinds.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/messages.h"

namespace weft::scheduler {

/// Order of restoring: each kind refers only to earlier ones.
enum class RowKind : std::uint8_t { none, program, session, name, intent, task, wants, worker };

/// A row's name. What the two numbers are depends on the kind.
struct RowId {
  RowKind kind = RowKind::none;
  std::uint64_t a = 0, b = 0;
  auto operator<=>(const RowId&) const = default;
};

struct StoredRefusal {
  std::uint64_t sequence = 0;
  WireFailure failure;
  template <class A>
  void fields(A& a) {
    a(sequence, failure);
  }
};
/// A client and how far its numbered commands were executed. `holder` names it in its wants.
struct StoredSession {
  SessionId session;
  std::uint64_t holder = 0;
  std::string name;
  std::uint64_t executed = 0;
  std::vector<StoredRefusal> refusals;
  std::uint64_t graph = 0;                     // the graph whose later chunks are still to come; 0: none
  std::optional<WireFailure> graph_refused;
  RowId id() const { return {RowKind::session, session.high, session.low}; }
  template <class A>
  void fields(A& a) {
    a(session, holder, name, executed, refusals, graph, graph_refused);
  }
};
/// A Submit or Scatter that made tasks, as it was received. It is kept while one of these tasks is.
struct StoredIntent {
  std::uint64_t number = 0;
  std::uint64_t holder = 0;                    // whose command it was
  std::uint64_t graph = 0;                     // of several chunks; 0: it was alone or the last
  std::int64_t major = 0, minor = 0;           // where its ranks begin
  std::int64_t generation = 0;
  ClientMessage command;
  RowId id() const { return {RowKind::intent, number, 0}; }
  template <class A>
  void fields(A& a) {
    a(number, holder, graph, major, minor, generation, command);
  }
};
/// A holder came to want these keys, or wants them no more. The rows of one holder are read in order.
struct StoredWants {
  std::uint64_t holder = 0, number = 0;
  bool added = true;
  std::vector<Key> keys;
  RowId id() const { return {RowKind::wants, holder, number}; }
  template <class A>
  void fields(A& a) {
    a(holder, number, added, keys);
  }
};
/// A published name.
struct StoredName {
  std::uint64_t holder = 0;
  std::string name;
  Bytes note;
  RowId id() const { return {RowKind::name, holder, 0}; }
  template <class A>
  void fields(A& a) {
    a(holder, name, note);
  }
};
/// What is not as usual with a task: tries that counted, its own failure, or that it began or ran and may not run again.
struct StoredTask {
  Key key;
  std::uint16_t errors = 0, losses = 0;
  bool begun = false, done = false;
  std::optional<WireFailure> failure;
  RowId id() const { return {RowKind::task, key.high, key.low}; }
  template <class A>
  void fields(A& a) {
    a(key, errors, losses, begun, done, failure);
  }
};
struct StoredProgram {
  AnnounceProgram program;
  SessionId owner;
  RowId id() const { return {RowKind::program, program.program.high, program.program.low}; }
  template <class A>
  void fields(A& a) {
    a(program, owner);
  }
};
/// A worker that was here: after a restart it is waited for.
struct StoredWorker {
  std::string name;
  RowId id() const {
    Key key = KeyHasher().add(name).finish();
    return {RowKind::worker, key.high, key.low};
  }
  template <class A>
  void fields(A& a) {
    a(name);
  }
};
/// Forget this row; `all`: every row of this kind and first number.
struct Erased {
  RowId row;
  bool all = false;
  RowId id() const { return row; }
};

using Record = std::variant<StoredProgram, StoredSession, StoredName, StoredIntent, StoredTask, StoredWants, StoredWorker, Erased>;

/// A record as a store keeps it: without a body it erases.
struct Row {
  RowId id;
  std::optional<Bytes> body;
  bool all = false;
};
Row row_of(const Record& record);
/// The record that a kept row was made of.
Result<Record> record_of(const Row& row);

}  // namespace weft::scheduler
