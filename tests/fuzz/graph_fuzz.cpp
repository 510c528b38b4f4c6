// A chunk of a graph, as bytes: refused whole, or admitted; either way the scheduler's tables are true, and empty once its client
// has left.
#include "fuzz.h"
#include "scheduler/state.h"

namespace {

using namespace weft;
using namespace weft::fuzz;

void run(Input input) {
  Result<GraphChunk> chunk = decode<GraphChunk>(input);
  if (!chunk) return;
  Result<void> good = check_chunk(*chunk);
  scheduler::State state;
  PeerId peer{1};
  Time now{1'000'000'000};
  ClientHello hello{.protocol_min = 1, .protocol_max = 1, .session = {1, 1}};
  std::vector<scheduler::Event> batch{scheduler::FromClient{peer, hello}, scheduler::FromClient{peer, Submit{1, *chunk, true}}};
  bool refused = false;
  for (scheduler::Action& action : state.step(now, std::move(batch)))
    if (auto* frame = std::get_if<scheduler::ToClient>(&action))
      for (ClientBound& message : frame->messages) refused |= std::holds_alternative<Refused>(message);
  state.check();
  promise(good || refused, "a bad chunk is refused");
  promise(!refused || state.counts().tasks == 0, "nothing of a refused chunk is kept");
  state.step(now, {scheduler::FromClient{peer, ClientGoodbye{}}});
  state.check();
  promise(state.empty(), "nothing is left of a client that said goodbye");
}

GraphChunk chain(std::uint32_t length) {
  GraphChunk chunk{.templates = {Template{.label = "t"}}};
  for (std::uint32_t row = 0; row < length; ++row) {
    Key key{4 * row + 2, row};
    auto raw = std::as_bytes(std::span(&key, 1));
    chunk.template_of.push_back(0);
    chunk.keys.insert(chunk.keys.end(), raw.begin(), raw.end());
    chunk.argument_ends.push_back(0);
    if (row) chunk.inputs.push_back(row - 1);
    chunk.input_ends.push_back(row);
  }
  if (length) chunk.wanted.push_back(length - 1);
  return chunk;
}

Seeds seeds() {
  GraphChunk parts = chain(3), ordered = chain(4), self = chain(2), far = chain(2);
  parts.input_parts = {whole_value, 3};
  ordered.order = {3, 2, 1, 0};
  self.inputs[0] = 1;
  far.externals = {Key{2, 99}};
  return {{"empty", encode(chain(0))}, {"one-task", encode(chain(1))}, {"chain-of-5", encode(chain(5))}, {"parts", encode(parts)},
          {"ordered", encode(ordered)}, {"depends-on-itself", encode(self)}, {"unknown-input", encode(far)}};
}

}  // namespace

WEFT_FUZZ_TARGET("graph", run, seeds, 3);
