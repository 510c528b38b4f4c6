// A task's own client: an Endpoint and a ValueLink over the executor's link to the worker daemon. It has no thread; the task's
// thread serves it in its calls and waits, and its slot is lent while it waits.
#pragma once

#include <memory>

#include "client/client_core.h"
#include "worker/task_context.h"

namespace weft::client {

/// The client of the task that runs on this thread: made with the first call, closed when the task's function ends.
std::shared_ptr<ClientCore> client_of(worker::TaskContext& task);

}  // namespace weft::client
