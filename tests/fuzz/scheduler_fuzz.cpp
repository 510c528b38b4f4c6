// The scheduler's state under arbitrary sequences of well-formed messages from three clients and three workers, broken links and
// time: every table is recounted after every step, and what it wrote into its store makes a true state again.
#include <map>

#include "fuzz.h"
#include "scheduler/state.h"

namespace {

using namespace weft;
using namespace weft::fuzz;
using namespace weft::scheduler;

class Story {
 public:
  explicit Story(Input input) : source_(input), durable_(source_.byte() & 1), state_({.durable = durable_}) {}

  void tell() {
    for (int step = 0; step < 300 && !source_.empty(); ++step) {
      std::vector<Event> batch;
      for (std::size_t i = 1 + source_.below(3); i > 0; --i) batch.push_back(event());
      if (source_.one_in(16)) now_ = now_ + Duration(source_.byte()) * 100'000'000;
      now_ = now_ + 1ms;
      take(state_.step(now_, std::move(batch)));
      state_.check();
    }
    if (durable_) restart();
  }

 private:
  Event event() {
    std::uint8_t kind = source_.byte();
    PeerId peer{1 + source_.below(3)};
    if (kind < 110) return FromClient{peer, client_message(peer)};
    if (kind < 230) return FromWorker{{peer.number + 10}, worker_message(peer)};
    if (kind < 236) return LinkLost{peer};
    if (kind < 238) return ProcessGone{{source_.byte() % 8u}};
    if (kind < 242) return LinkLost{{peer.number + 10}};
    if (kind < 244) return AccessRevoked{{peer.number + (kind & 1) * 10}};
    if (kind < 250) return Committed{ticket_};
    return Tick{};
  }

  ClientMessage client_message(PeerId peer) {
    auto message = source_.make<ClientMessage>();
    if (!heard_[peer] && !source_.one_in(8)) message = ClientHello{1, 1, {1, peer.number}, "c", 0, 0};
    if (auto* hello = std::get_if<ClientHello>(&message)) heard_[peer] = true, make_sensible(*hello);
    number(peer, message);
    return message;
  }
  void make_sensible(ClientHello& hello) {
    if (!source_.one_in(8)) hello.protocol_min = hello.protocol_max = 1;
    if (!source_.one_in(8)) hello.executed = 0;
  }
  /// Commands that come in their order are executed; the others only acknowledged.
  void number(PeerId peer, ClientMessage& message) {
    std::visit([&](auto& m) {
      if constexpr (requires { m.sequence; })
        if (!source_.one_in(16)) m.sequence = ++sequences_[peer];
    }, message);
  }

  WorkerMessage worker_message(PeerId peer) {
    auto message = source_.make<WorkerMessage>();
    if (!heard_[{peer.number + 10}] && !source_.one_in(8)) message = WorkerHello{};
    if (auto* hello = std::get_if<WorkerHello>(&message)) {
      heard_[{peer.number + 10}] = true;
      make_sensible(*hello, peer);
    } else if (auto* inner = std::get_if<FromTask>(&message)) {
      if (!source_.one_in(4)) inner->channel = attempt_of(source_.key()).number;
      for (ClientMessage& each : inner->messages) {
        if (auto* hello = std::get_if<ClientHello>(&each)) make_sensible(*hello);
        number({peer.number + 20}, each);
      }
    }
    std::visit([&](auto& m) {
      if constexpr (requires { m.attempt; m.key; })
        if (!source_.one_in(8)) m.attempt = attempt_of(m.key);
    }, message);
    return message;
  }
  void make_sensible(WorkerHello& hello, PeerId peer) {
    if (source_.one_in(16)) return;
    hello.protocol_min = hello.protocol_max = 1;
    hello.epoch %= 2;
    hello.slots = 1 + hello.slots % 4;
    hello.instance = peer.number;
    hello.secret.resize(16);
    if (!source_.one_in(8)) hello.name = "w" + std::to_string(peer.number);
    for (RunningAttempt& running : hello.running) running.attempt = attempt_of(running.key);
  }
  AttemptId attempt_of(Key key) const {
    const Task* task = state_.find(key);
    return task ? task->attempt : AttemptId{};
  }

  /// What leaves must be a frame that its receiver accepts.
  void take(const std::vector<Action>& actions) {
    for (const Action& action : actions) {
      if (auto* frame = std::get_if<ToClient>(&action)) promise(bool(decode<std::vector<ClientBound>>(encode(frame->messages))), "a client can read it");
      else if (auto* order = std::get_if<ToWorker>(&action)) promise(bool(decode<std::vector<WorkerBound>>(encode(order->messages))), "a worker can read it");
      else if (auto* persist = std::get_if<Persist>(&action)) keep(*persist);
    }
  }
  void keep(const Persist& persist) {
    ticket_ = persist.ticket;
    for (const Record& record : persist.records) {
      Row row = row_of(record);
      if (row.body) rows_[row.id] = row;
      else if (!row.all) rows_.erase(row.id);
      else std::erase_if(rows_, [&](const auto& entry) { return entry.first.kind == row.id.kind && entry.first.a == row.id.a; });
    }
  }
  void restart() {
    std::vector<Record> records;
    for (const auto& [id, row] : rows_) {
      Result<Record> record = record_of(row);
      promise(static_cast<bool>(record), "what was kept can be read");
      records.push_back(std::move(*record));
    }
    State next({.durable = true, .epoch = 2});
    next.restore(now_, std::move(records));
    next.step(now_, {Tick{}});
    next.check();
    for (int step = 0; step < 50 && !source_.empty(); ++step) {
      next.step(now_ = now_ + 1s, {event()});
      next.check();
    }
  }

  Source source_;
  bool durable_;
  State state_;
  Time now_{1'000'000'000};
  std::uint64_t ticket_ = 0;
  std::map<PeerId, bool> heard_;
  std::map<PeerId, std::uint64_t> sequences_;
  std::map<RowId, Row> rows_;
};

void run(Input input) { Story(input).tell(); }

Seeds seeds() { return stories(6); }

}  // namespace

WEFT_FUZZ_TARGET("scheduler", run, seeds, 60);
