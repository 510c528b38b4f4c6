#include <weft/this_task.h>

#include <algorithm>

#include "client/task_client.h"

namespace weft {

static worker::TaskContext& current() {
  if (auto* task = worker::TaskContext::current()) return *task;
  throw InvalidArgument("weft::this_task was used where no task runs; use it on the thread of a task, while its function runs");
}

ThisTask this_task() {
  current();
  return {};
}

Key ThisTask::key() const { return current().key(); }
std::string ThisTask::label() const { return current().shape().label; }
std::uint64_t ThisTask::attempt() const { return current().attempt().number; }
std::uint32_t ThisTask::try_number() const { return current().try_number(); }
std::string ThisTask::worker() const { return std::string(current().worker()); }
bool ThisTask::cancelled() const { return current().cancelled(); }
void ThisTask::log(LogLevel level, std::string_view text) const { current().log(static_cast<std::uint32_t>(level), text); }
void ThisTask::progress(double fraction) const { current().progress(fraction >= 0 ? std::min(fraction, 1.0) : 0.0); }
Client ThisTask::client() const { return Client(client::client_of(current())); }

}  // namespace weft
