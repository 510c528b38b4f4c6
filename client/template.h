// What every way of submitting shares: options and a call's shape become a template; big arguments become scattered values.
#pragma once

#include <weft/detail/submit.h>

#include "client/graph_builder.h"
#include "common/graph.h"

namespace weft::detail {

/// Throws InvalidArgument for options that no task can have.
Template template_of(const CallShape& shape, const Options& options, Bytes shared_arguments);
/// The key of a pure call with these options: that of the call itself, unless they change how or where it runs. Equal calls that are
/// to run differently are two tasks, or the options of one would be lost.
Key key_with(const Options& options, const Key& call);
/// Append a task's inputs. Throws InvalidArgument for a future of another client, and for more inputs than a task can have.
void append_inputs(const ClientPointer& client, std::vector<client::TaskInput>& inputs, std::span<const InputRef> refs);
/// Place arguments that are too big for the graph; the futures of the tasks must keep the answer.
std::vector<FutureHandle> place_big(const ClientPointer& client, const ArgumentSink& sink);

}  // namespace weft::detail
