// A recording that was damaged: it is refused with a sentence, or runs as far as it is whole; never another way.
#include "fuzz.h"
#include "scheduler/recorder.h"
#include "scratch_folder.h"

namespace {

using namespace weft;
using namespace weft::fuzz;
using namespace weft::scheduler;

/// What a small scheduler did.
struct Original {
  ScratchFolder folder;
  Bytes bytes;
  std::vector<std::uint64_t> fingerprints;
  Original() {
    std::string path = folder.path() + "/original";
    auto recorder = Recorder::open(path, 1u << 20);
    promise(bool(recorder), "a recording can be begun");
    State state;
    Time now{1};
    auto step = [&](Event event) {
      fingerprints.push_back(fingerprint(state));
      std::vector<Event> batch{std::move(event)};
      (*recorder)->step(state, now, batch);
      static_cast<void>(state.step(now, std::move(batch)));
      now = now + 1ms;
    };
    step(FromClient{{1}, ClientHello{1, 1, {1, 1}, "c", 0, 0}});
    step(FromWorker{{2}, WorkerHello{.protocol_min = 1, .protocol_max = 1, .name = "w", .instance = 1, .endpoint = "tcp://w", .secret = Bytes(16)}});
    for (std::uint64_t i = 1; i <= 20; ++i) step(FromClient{{1}, Scatter{i, {{Key{7, i}, 100}}, {}, 1}});
    step(LinkLost{{2}});
    step(Tick{});
    fingerprints.push_back(fingerprint(state));
    bytes = ScratchFolder::read(path);
  }
};

void run(Input input) {
  static const Original original;
  Source source(input);
  Bytes bytes = original.bytes;
  damage(bytes, source);
  auto replay = Replay::open(original.folder.write("damaged", bytes));
  if (!replay) return promise(!replay.error().message.empty(), "a damaged recording is refused with a sentence");
  while (true) {
    promise(fingerprint(replay->state()) == original.fingerprints.at(replay->steps()), "what is run again is what was");
    auto more = replay->next();
    if (!more) return promise(!more.error().message.empty(), "damage is named");
    if (!*more) return;
  }
}

Seeds seeds() {
  Seeds all = stories(4);
  for (auto& [name, bytes] : all) bytes.resize(70);
  return all;
}

}  // namespace

WEFT_FUZZ_TARGET("recording", run, seeds, 300);
