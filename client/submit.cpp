// Typed calls become tasks: options and code places are turned into templates, big arguments into scattered values.
#include <weft/detail/submit.h>

#include <bit>

#include "client/client_core.h"
#include "client/images.h"
#include "client/template.h"
#include "common/limits.h"

namespace weft::detail {

using client::GraphBuilder;
using client::TaskInput;

std::shared_ptr<void> hold(FutureHandle future) { return std::make_shared<Hold>(Hold{nullptr, std::move(future)}); }
std::shared_ptr<void> hold(std::shared_ptr<const DelayedNode> node) { return std::make_shared<Hold>(Hold{std::move(node), {}}); }

static void check_options(const Options& options) {
  if (options.cores == 0) throw InvalidArgument("a task cannot run on 0 cores; leave `cores` out, or ask for 1 or more");
  if (options.max_attempts == 0) throw InvalidArgument("`max_attempts` counts all tries, the first included; give 1 or more");
  if (options.timeout < Duration(0)) throw InvalidArgument("`timeout` is negative; leave it out for none, or give the longest run");
  if (options.retry_delay < Duration(0)) throw InvalidArgument("`retry_delay` is negative; leave it out, or give the pause before a retry");
  auto short_enough = [](const std::string& text, const char* what) {
    if (text.size() > name_bytes_max)
      throw InvalidArgument(std::string("a ") + what + " has at most " + std::to_string(name_bytes_max) + " bytes, and this one " + std::to_string(text.size()));
  };
  short_enough(options.label, "label");
  if (options.key && options.key->empty()) throw InvalidArgument("`key` is empty; leave it out, or give a name");
  for (const std::string& worker : options.workers) {
    if (worker.empty()) throw InvalidArgument("`workers` has an empty name; leave it out for any worker");
    short_enough(worker, "worker's name");
  }
  for (const auto& [name, amount] : options.resources) {
    short_enough(name, "resource's name");
    if (!(amount >= 0 && amount < 1e15)) throw InvalidArgument("the amount of resource '" + name + "' is not possible");
  }
  if (options.timeout > duration_max || options.retry_delay > duration_max)
    throw InvalidArgument("`timeout` and `retry_delay` are at most ten years; leave a timeout out for none");
}

Key key_with(const Options& options, const Key& call) {
  KeyHasher hasher;
  hasher.add(call);
  bool usual = true;
  auto differs = [&](std::uint64_t number, const auto& value, const auto& by_default) {
    if (value == by_default) return;
    usual = false;
    hasher.add(number);
    if constexpr (requires { value.count(); }) hasher.add(static_cast<std::uint64_t>(value.count()));
    else hasher.add(static_cast<std::uint64_t>(value));
  };
  const Options plain;
  differs(1, options.retries, plain.retries);
  differs(2, options.retry_delay, plain.retry_delay);
  differs(3, options.max_attempts, plain.max_attempts);
  differs(4, options.timeout, plain.timeout);
  differs(5, options.cores, plain.cores);
  if (!options.workers.empty()) differs(6, options.workers_strict, plain.workers_strict);
  for (const std::string& worker : options.workers) usual = false, hasher.add("worker").add(worker);
  for (const auto& [name, amount] : options.resources) usual = false, hasher.add("resource").add(name).add(std::bit_cast<std::uint64_t>(amount));
  return usual ? call : hasher.finish();
}

Template template_of(const CallShape& shape, const Options& options, Bytes shared_arguments) {
  check_options(options);
  return {.label = options.label.empty() ? std::string(shape.label) : options.label,
          .function = function_ref(shape.thunk, shape.target).value_or_throw(),
          .options = {.pure = options.pure, .priority = options.priority, .retries = options.retries,
                      .retry_delay = options.retry_delay, .max_attempts = options.max_attempts, .timeout = options.timeout,
                      .cores = options.cores, .resources = options.resources, .workers = options.workers,
                      .workers_strict = options.workers_strict},
          .shared_arguments = std::move(shared_arguments)};
}

std::vector<FutureHandle> place_big(const ClientPointer& client, const ArgumentSink& sink) {
  std::vector<std::pair<Key, Value>> values;
  for (const BigArgument& big : sink.big) values.emplace_back(sink.inputs[big.input].key, big.value);
  return client->scatter(std::move(values), {}, 1);
}

void append_inputs(const ClientPointer& client, std::vector<TaskInput>& inputs, std::span<const InputRef> refs) {
  if (inputs.size() + refs.size() > GraphChunk::inputs_max)
    throw InvalidArgument("a task takes at most " + std::to_string(GraphChunk::inputs_max) + " inputs, and this call has " +
                          std::to_string(inputs.size() + refs.size()) + "; combine them in rounds, some hundred futures to a task "
                          "(weft::Bag's fold does that)");
  for (const InputRef& ref : refs) {
    if (auto* hold = static_cast<const Hold*>(ref.hold.get()); hold && hold->future) client->check_own(*hold->future.core());
    inputs.push_back({ref.key, ref.part});
  }
}

FutureHandle submit_call(const ClientPointer& client, const Options& options, PreparedCall call) {
  client->check_process();
  client::TaskCall task{template_of(call, options, {}), key_with(options, call.key), {}, {}};
  if (options.key) task.key = Key::named(*options.key);
  else if (!options.pure) task.key = Key::random();
  append_inputs(client, task.inputs, call.inputs);
  if (options.key) task.content = call.key;
  std::vector<FutureHandle> holds = place_big(client, call);
  task.arguments = std::move(call.bytes);
  return client->submit(std::move(task), std::move(holds));
}

std::vector<FutureHandle> submit_map(const ClientPointer& client, const Options& options, MapTasks tasks) {
  client->check_process();
  GraphBuilder builder;
  std::uint32_t shape = builder.add_template(template_of(tasks.shape, options, tasks.shared->bytes));
  Key base = options.key ? Key::named(*options.key) : options.pure ? Key() : Key::random();
  std::vector<TaskInput> inputs;
  append_inputs(client, inputs, tasks.shared->inputs);
  std::size_t shared = inputs.size(), byte = 0, input = 0;
  std::vector<std::pair<Key, Key>> names;
  for (std::size_t i = 0; i < tasks.keys.size(); ++i) {
    inputs.resize(shared);
    append_inputs(client, inputs, std::span(tasks.own.inputs).subspan(input, tasks.input_ends[i] - input));
    Key key = base ? KeyHasher().add(base).add(std::uint64_t(i)).finish() : key_with(options, tasks.keys[i]);
    if (options.key) {
      key.high |= 1;  // still a name, not a content
      names.emplace_back(key, tasks.keys[i]);
    }
    builder.add(shape, key, std::span(tasks.own.bytes).subspan(byte, tasks.byte_ends[i] - byte), inputs, true);
    byte = tasks.byte_ends[i];
    input = tasks.input_ends[i];
  }
  std::vector<FutureHandle> holds = place_big(client, *tasks.shared);
  for (FutureHandle& own : place_big(client, tasks.own)) holds.push_back(std::move(own));
  return client->submit(builder.take(), std::move(holds), names);
}

}  // namespace weft::detail
