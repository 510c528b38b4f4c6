#include "scheduler/snapshot.h"

#include "common/codec.h"
#include "common/token.h"

namespace weft::scheduler {

namespace {

constexpr std::size_t piece_size = 1u << 20;

// Writes what it passes, and reads it back in the same order: each row names its fields once, below.
struct Saver {
  static constexpr bool loads = false;
  Encoder encoder;
  const std::function<void(Bytes)>& write;

  template <class T>
  void leaf(T& value) {
    encoder.put(value);
  }
  std::size_t size(std::size_t count) {
    encoder.array(count);
    return count;
  }
  void may_flush() {
    if (encoder.size() >= piece_size) write(encoder.take());
  }
};
struct Loader {
  static constexpr bool loads = true;
  Decoder decoder;

  template <class T>
  void leaf(T& value) {
    decoder.get(value);
  }
  std::size_t size(std::size_t) { return decoder.array(); }
  void may_flush() {}
};

template <class A, class... T>
void all(A& a, T&... values);

// ------------------------------------------------------------------------------------------------ containers

template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<std::vector<T>> = true;
template <class T>
inline constexpr bool is_list<std::deque<T>> = true;
template <class T>
inline constexpr bool is_list<SmallVector<T>> = true;
template <class T>
inline constexpr bool is_set = false;
template <class... T>
inline constexpr bool is_set<std::set<T...>> = true;
template <class T>
inline constexpr bool is_map = false;
template <class... T>
inline constexpr bool is_map<std::map<T...>> = true;
template <class... T>
inline constexpr bool is_map<std::multimap<T...>> = true;
template <class T>
inline constexpr bool is_tuple = false;
template <class... T>
inline constexpr bool is_tuple<std::tuple<T...>> = true;
template <class... T>
inline constexpr bool is_tuple<std::pair<T...>> = true;
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

}  // namespace

// ------------------------------------------------------------------------------------------------ rows

/// Knows every field of the state and of its rows.
struct Snapshot {
  // Bits have no address: they travel as one number, in this order.
  template <class A>
  static void row(A& a, Task& t) {
    std::uint32_t bits = t.is_data | t.was_stored << 1 | t.marked << 2 | t.failed_first << 3 | t.released_durably << 4 | t.keeps_inputs << 5 |
                         t.recalling << 6 | t.started << 7 | t.begun << 8 | t.delayed << 9;
    all(a, bits);
    t.is_data = bits & 1, t.was_stored = bits >> 1 & 1, t.marked = bits >> 2 & 1, t.failed_first = bits >> 3 & 1;
    t.released_durably = bits >> 4 & 1, t.keeps_inputs = bits >> 5 & 1, t.recalling = bits >> 6 & 1, t.started = bits >> 7 & 1;
    t.begun = bits >> 8 & 1, t.delayed = bits >> 9 & 1;
    all(a, t.key, t.rank, t.shape, t.state, t.errors, t.losses, t.intent, t.missing, t.open_dependents, t.ahead_count, t.kept_by, t.ahead_worker,
        t.worker, t.worker_slot, t.estimate_us, t.queue_serial, t.kept_for, t.avoid, t.attempt, t.born, t.bytes, t.arguments, t.inputs,
        t.dependents, t.wants, t.replicas, t.small, t.failure);
    a.may_flush();
  }
  template <class A>
  static void row(A& a, WantEdge& w) {
    std::uint32_t slot = w.slot;
    bool has_data = w.has_data;
    all(a, w.holder, slot, has_data);
    w.slot = slot, w.has_data = has_data;
  }
  template <class A>
  static void row(A& a, Replica& r) {
    std::uint32_t slot = r.slot, strikes = r.strikes;
    all(a, r.worker, slot, strikes);
    r.slot = slot, r.strikes = strikes;
  }
  template <class A>
  static void row(A& a, TaskTable& t) {
    TaskNumber size = t.size_;
    all(a, size);
    if constexpr (A::loads)
      for (TaskNumber i = 0; i < size && !a.decoder.failed(); ++i) t.take();
    for (TaskNumber i = 0; i < t.size_; ++i) {
      if constexpr (A::loads)
        if (a.decoder.failed()) return;
      all(a, t[i]);
    }
    all(a, t.free_);
  }
  /// The secret of a worker opens its values: it stays where it is.
  template <class A>
  static void row(A& a, Worker& w) {
    all(a, w.id, w.name, w.instance, w.peer, w.heard, w.echoed, w.lost_at, w.paused, w.retiring, w.leave_sent, w.slots, w.memory_limit,
        w.resources, w.resources_free, w.cores_reserved, w.endpoint, w.public_key, w.host, w.memory, w.pid, w.runs_user_code, w.last,
        w.assigned, w.holding, w.programs_known, w.shapes_known, w.reserved, w.load, w.moved, w.recalls, w.joined, w.recall_again,
        w.hand_over_again, w.holding_bytes, w.hungry, w.candidate, w.refusals, w.idle_slot, w.nested, w.outbox, w.reports, w.drops,
        w.drops_bytes);
    if constexpr (A::loads) w.secret.resize(token_secret_size);
    a.may_flush();
  }
  template <class A>
  static void row(A& a, Holder& h) {
    all(a, h.kind, h.id, h.logged, h.changed, h.wanted, h.session, h.name, h.peer, h.through, h.channel, h.parent, h.cores_lent, h.executed,
        h.acknowledge, h.expires, h.heard, h.refusals, h.graph, h.graph_refused, h.generation, h.generation_began, h.note, h.outbox);
    a.may_flush();
  }
  template <class A>
  static void row(A& a, Group& g) {
    all(a, g.label, g.born, g.number, g.shapes, g.finished, g.errors, g.run_time, g.bytes, g.bytes_total, g.run_time_total, g.told_unrunnable);
    for (std::uint64_t& count : g.counts) all(a, count);
  }
  template <class A>
  static void row(A& a, Options& o) {
    all(a, o.durable, o.recovery_grace, o.epoch, o.lease, o.heartbeat_interval, o.reconnect_grace, o.client_grace, o.locality, o.hold_back,
        o.recall, o.run_ahead, o.broadcast, o.broadcast_fan_out, o.broadcast_min, o.run_ahead_max, o.bandwidth, o.transfer_latency,
        o.credit_time, o.credit_max, o.credit_unknown, o.recall_worth, o.unrunnable_after, o.sessions_max, o.tasks_max, o.story_max);
  }
  // clang-format off
  template <class A> static void row(A& a, InputEdge& e) { all(a, e.task, e.part, e.slot); }
  template <class A> static void row(A& a, DependentEdge& e) { all(a, e.task, e.input); }
  template <class A> static void row(A& a, Rank& r) { all(a, r.major, r.minor); }
  template <class A> static void row(A& a, Holder::Refusal& r) { all(a, r.said, r.sequence, r.failure); }
  template <class A> static void row(A& a, Shape& s) { all(a, s.what, s.hash, s.group, s.queue, s.serial, s.tasks, s.unused); }
  template <class A> static void row(A& a, Entry& e) { all(a, e.rank, e.task, e.serial); }
  template <class A> static void row(A& a, Line& l) { all(a, l.in_order, l.last, l.others); }
  template <class A> static void row(A& a, Queue& q) {
    all(a, q.signature, q.shapes, q.fed, q.roots, q.blocked_on, q.kept, q.fresh, q.busy, q.all_told, q.nobody_since);
  }
  template <class A> static void row(A& a, Program& p) { all(a, p.files, p.owners, p.shapes); }
  template <class A> static void row(A& a, Flight& f) { all(a, f.from, f.to, f.ordered); }
  template <class A> static void row(A& a, Spread& s) { all(a, s.flights, s.readers, s.served); }
  template <class A> static void row(A& a, Intent& i) { all(a, i.id, i.ticket, i.tasks); }
  template <class A> static void row(A& a, WantChange& w) { all(a, w.holder, w.number, w.key, w.added); }
  template <class A> static void row(A& a, HeldOrder& h) { all(a, h.ticket, h.task, h.order); }
  template <class A> static void row(A& a, HeldStart& h) { all(a, h.ticket, h.task, h.serial); }
  template <class A> static void row(A& a, RowId& r) { all(a, r.kind, r.a, r.b); }
  template <class A> static void row(A& a, Erased& e) { all(a, e.row, e.all); }
  template <class A> static void row(A& a, Probe& p) { all(a, p.worker, p.endpoint, p.ticket); }
  template <class A> static void row(A& a, Note& n) { all(a, n.text, n.ticket); }
  // clang-format on

  template <class A>
  static void row(A& a, Failure& failure) {
    WireFailure wire;
    if constexpr (!A::loads) wire.failure = failure;
    a.leaf(wire);
    if constexpr (A::loads) failure = std::move(wire.failure);
  }
  template <class A>
  static void row(A& a, std::shared_ptr<const Failure>& failure) {
    std::optional<WireFailure> wire;
    if constexpr (!A::loads)
      if (failure) wire = WireFailure{*failure};
    a.leaf(wire);
    if constexpr (A::loads)
      if (wire) failure = std::make_shared<const Failure>(std::move(wire->failure));
  }

  // Of what lives inside a step only, candidates_ is always empty between two of them; lists to review have something after `restore`.
  template <class A>
  static void row(A& a, State& s) {
    all(a, s.options_, s.now_, s.last_step_, s.leases_due_, s.unrunnable_due_, s.attempts_, s.nonces_, s.finished_runs_, s.keepers_, s.serials_);
    all(a, s.tasks_, s.review_, s.ahead_, s.retract_, s.spread_review_, s.progress_, s.replicas_wanted_, s.copies_review_, s.bytes_awaited_, s.moving_, s.delayed_);
    all(a, s.programs_, s.file_owners_, s.shapes_, s.free_shapes_, s.unused_shapes_, s.shape_serials_, s.shapes_by_hash_, s.groups_,
        s.free_groups_, s.group_by_label_, s.group_numbers_, s.queues_, s.free_queues_, s.queue_by_signature_, s.busy_queues_, s.kept_);
    all(a, s.holders_, s.free_holders_, s.sessions_, s.session_of_peer_, s.session_of_channel_, s.names_, s.fire_and_forget_, s.generations_);
    all(a, s.workers_, s.alive_, s.worker_of_peer_, s.hungry_, s.idle_, s.retiring_, s.idle_cursor_, s.recall_again_, s.cursor_,
        s.slots_total_, s.spreads_, s.speaking_workers_, s.speaking_sessions_);
    all(a, s.intents_, s.free_intents_, s.want_changes_, s.changed_tasks_, s.starts_held_, s.orders_held_, s.held_back_, s.unreleased_,
        s.stored_ids_, s.ticket_, s.committed_, s.last_join_, s.recovering_, s.recovering_until_, s.workers_expected_, s.restored_done_,
        s.restored_begun_, s.records_);
    all(a, s.notes_, s.probes_, s.to_close_, s.stray_, s.stray_workers_);
    if constexpr (A::loads)
      for (TaskNumber i = 0; i < s.tasks_.size(); ++i)
        if (s.tasks_[i].key) s.index_.insert(s.tasks_[i].key, i);
  }

  template <class A>
  static void row(A& a, Record& record) {
    std::uint32_t kind = static_cast<std::uint32_t>(record.index());
    all(a, kind);
    auto pass = [&]<std::size_t... I>(std::index_sequence<I...>) {
      if constexpr (A::loads)
        static_cast<void>(((kind == I ? (record.template emplace<I>(), true) : false) || ...));
      if (kind < sizeof...(I)) std::visit([&](auto& stored) { all(a, stored); }, record);
    };
    pass(std::make_index_sequence<std::variant_size_v<Record>>{});
  }

  static std::uint64_t fingerprint(const State& s) {
    KeyHasher hasher;
    for (std::uint64_t number : {s.attempts_, s.nonces_, s.finished_runs_, std::uint64_t(s.serials_), std::uint64_t(s.tasks_.size()),
                                 std::uint64_t(s.tasks_.free_rows()), s.ticket_, s.committed_, s.stored_ids_, std::uint64_t(s.group_numbers_)})
      hasher.add(number);
    return hasher.finish().low;
  }
};

namespace {

template <class A, class T>
void pass(A& a, T& value) {
  if constexpr (requires { Snapshot::row(a, value); }) {
    Snapshot::row(a, value);
  } else if constexpr (is_list<T>) {
    std::size_t count = a.size(value.size());
    if constexpr (A::loads) value.clear();
    for (std::size_t i = 0; i < count; ++i) {
      if constexpr (A::loads) {
        if (a.decoder.failed()) return;
        value.push_back({});
      }
      pass(a, value[i]);
    }
  } else if constexpr (is_set<T>) {
    if constexpr (A::loads) {
      std::size_t count = a.size(0);
      value.clear();
      for (std::size_t i = 0; i < count && !a.decoder.failed(); ++i) {
        typename T::value_type element{};
        pass(a, element);
        value.insert(value.end(), std::move(element));
      }
    } else {
      a.size(value.size());
      for (const auto& element : value) pass(a, const_cast<typename T::value_type&>(element));
    }
  } else if constexpr (is_map<T>) {
    if constexpr (A::loads) {
      std::size_t count = a.size(0);
      value.clear();
      for (std::size_t i = 0; i < count && !a.decoder.failed(); ++i) {
        std::pair<typename T::key_type, typename T::mapped_type> element{};
        all(a, element.first, element.second);
        value.insert(value.end(), std::move(element));
      }
    } else {
      a.size(value.size());
      for (auto& [key, element] : value) all(a, const_cast<typename T::key_type&>(key), element);
    }
  } else if constexpr (is_tuple<T>) {
    std::apply([&](auto&... parts) { all(a, parts...); }, value);
  } else if constexpr (is_optional<T>) {
    bool there = value.has_value();
    pass(a, there);
    if constexpr (A::loads)
      if (there) value.emplace();
    if (there) pass(a, *value);
  } else {
    a.leaf(value);
  }
}

template <class A, class... T>
void all(A& a, T&... values) {
  (pass(a, values), ...);
}

}  // namespace

void save(const State& state, const std::function<void(Bytes)>& write) {
  Saver saver{{}, write};
  Snapshot::row(saver, const_cast<State&>(state));  // it only reads
  write(saver.encoder.take());
}

Result<State> load(std::span<const std::byte> bytes) {
  constexpr std::size_t unbounded = SIZE_MAX / 4;
  Loader loader{Decoder(bytes, {unbounded, unbounded, unbounded})};
  State state;
  Snapshot::row(loader, state);
  if (!loader.decoder.failed() && !loader.decoder.at_end()) loader.decoder.fail("bytes left after the snapshot");
  if (loader.decoder.failed()) return failure(ErrorKind::protocol_error, loader.decoder.error());
  return state;
}

std::uint64_t fingerprint(const State& state) { return Snapshot::fingerprint(state); }

}  // namespace weft::scheduler
