// The client's session under arbitrary messages of a scheduler, between commands of its own user.
#include "client/session_state.h"
#include "fuzz.h"

namespace {

using namespace weft;
using namespace weft::fuzz;
using namespace weft::client;

class Story {
 public:
  explicit Story(Input input) : source_(input), state_({.session = {1, 2}, .name = "c"}, now_) {}

  void tell() {
    step(Tick{});
    step(LinkUp{});
    step(FromScheduler{ClientWelcome{1, 1, 0, 1s, 15s}});
    for (int i = 0; i < 300 && !source_.empty() && !state_.closed(); ++i) {
      if (source_.one_in(16)) now_ = now_ + Duration(source_.byte()) * 100'000'000;
      step(event());
    }
  }

 private:
  void step(Event event) {
    now_ = now_ + 1ms;
    std::vector<Event> batch;
    batch.push_back(std::move(event));
    for (const Action& action : state_.step(now_, std::move(batch)))
      if (auto* send = std::get_if<Send>(&action)) promise(bool(decode<ClientMessage>(encode(*send->message))), "the scheduler can read it");
    state_.wake_at();
  }
  std::vector<Key> keys() { return source_.make<std::vector<Key>>(); }
  /// A key of which the user holds a future; what it does not hold it cannot speak of.
  Key held() {
    Key key = source_.key();
    return references_[key] > 0 ? key : Key{};
  }
  Event event() {
    std::uint8_t kind = source_.byte();
    if (kind < 120) return FromScheduler{message()};
    if (kind < 126) return LinkLost{"cut"};
    if (kind < 140) return LinkUp{};
    if (kind < 160) return submit();
    if (kind < 180) return release();
    if (kind < 200) {
      Key key = held();
      if (!key) return Tick{};
      if (kind < 186) return ReadValue{key};
      if (kind < 190) return CancelKeys{{key}, (kind & 1) == 1, "why"};
      if (kind < 194) return RetryKeys{{key}};
      return FetchFailed{key, failure(ErrorKind::connection_failed, "gone")};
    }
    if (kind < 210) return AskScheduler{source_.make<Ask>(), (kind & 1) == 1};
    if (kind < 216) return PublishName{source_.number(), "n", keys(), {}, (kind & 1) == 1};
    return Tick{};
  }
  ClientBound message() {
    auto message = source_.make<ClientBound>();
    if (auto* welcome = std::get_if<ClientWelcome>(&message)) welcome->epoch %= 4;
    return message;
  }
  Event submit() {
    auto chunk = source_.make<GraphChunk>();
    if (!check_chunk(chunk) || chunk.size() == 0) return Tick{};
    for (std::uint32_t row : chunk.wanted)
      if (!chunk.key(row)) return Tick{};
    for (std::uint32_t row : chunk.wanted) ++references_[chunk.key(row)];
    return SubmitGraph{std::move(chunk), !source_.one_in(8)};
  }
  Event release() {
    Key key = held();
    if (!key) return Tick{};
    --references_[key];
    return ReleaseKeys{{key}};
  }

  Source source_;
  Time now_{1'000'000'000};
  SessionState state_;
  std::map<Key, int> references_;
};

void run(Input input) { Story(input).tell(); }

Seeds seeds() { return stories(4); }

}  // namespace

WEFT_FUZZ_TARGET("client", run, seeds, 30);
