// Every type that is decoded from outside bytes: what is accepted must be msgpack (says msgpack-c), and must come back from its
// own encoding as it was.
#define MSGPACK_NO_BOOST_OPTIONAL
#include <msgpack.hpp>

#include "common/task_description.h"
#include "fuzz.h"
#include "scheduler/store_records.h"
#include "worker/executor_link.h"

namespace {

using namespace weft;
using namespace weft::fuzz;

bool is_msgpack(Input bytes) {
  msgpack::null_visitor visitor;
  std::size_t offset = 0;
  return msgpack::parse(reinterpret_cast<const char*>(bytes.data()), bytes.size(), offset, visitor) && offset == bytes.size();
}

template <class T>
void check(Input bytes) {
  Result<T> value = decode<T>(bytes);
  if (!value) return promise(value.error().kind == ErrorKind::protocol_error && !value.error().message.empty(), "a refusal is a ProtocolError");
  promise(is_msgpack(bytes), "what we accept is msgpack");
  Bytes again = encode(*value);
  Result<T> back = decode<T>(again);
  promise(static_cast<bool>(back), "what we encode we accept");
  promise(encode(*back) == again, "a message comes back as it was");
}

template <class... T>
struct Types {
  static constexpr std::size_t count = sizeof...(T);
  static void check_one(std::size_t which, Input bytes) {
    std::size_t at = 0;
    ((at++ == which ? check<T>(bytes) : void()), ...);
  }
  static Seeds seeds() {
    Seeds all;
    std::size_t at = 0;
    (seed<T>(all, at++), ...);
    return all;
  }
  /// One with the fields that most inputs have, and one that was never filled.
  template <class T1>
  static void seed(Seeds& all, std::size_t at) {
    Bytes pattern;
    for (int i = 0; i < 300; ++i) pattern.push_back(std::byte(i * 37 + 11));
    for (int round : {0, 1}) {
      Bytes bytes{std::byte(at)};
      Bytes body = encode(round ? Source(pattern).make<T1>() : T1{});
      bytes.insert(bytes.end(), body.begin(), body.end());
      all.emplace_back("type-" + std::to_string(at) + (round ? "-filled" : "-empty"), std::move(bytes));
    }
  }
};
using Known = Types<std::vector<ClientMessage>, std::vector<ClientBound>, std::vector<WorkerMessage>, std::vector<WorkerBound>, ValueRequest, ValueReply,
                    LoanRequest, LoanReply, ProgramSetup, TaskDescription, WireFailure, GraphChunk, scheduler::StoredSession, scheduler::StoredIntent,
                    scheduler::StoredWants, scheduler::StoredName, scheduler::StoredTask, scheduler::StoredProgram, scheduler::StoredWorker,
                    worker::ExecutorNews, worker::ExecutorBound, worker::TaskBound>;

void run(Input input) {
  if (input.empty()) return;
  Known::check_one(std::to_integer<std::size_t>(input[0]) % Known::count, input.subspan(1));
}

}  // namespace

WEFT_FUZZ_TARGET("codec", run, Known::seeds, 1);
