#include "common/graph.h"

#include "common/limits.h"

namespace weft {

static Result<void> bad(std::string why) {
  return failure(ErrorKind::protocol_error, "refused graph chunk: " + std::move(why));
}

// Columns of rising ends into a payload of `size` elements.
static bool rises(const std::vector<std::uint32_t>& ends, std::size_t size) {
  std::uint32_t last = 0;
  for (std::uint32_t end : ends) {
    if (end < last) return false;
    last = end;
  }
  return last == size;
}

/// A number takes four bytes here and one to five on the wire.
static std::size_t size_in_memory(const GraphChunk& chunk) {
  std::size_t size = 16 * chunk.externals.size() + chunk.keys.size() + chunk.arguments.size();
  for (const auto* column : {&chunk.template_of, &chunk.argument_ends, &chunk.inputs, &chunk.input_parts, &chunk.input_ends, &chunk.order, &chunk.wanted})
    size += 4 * column->size();
  for (const Template& shape : chunk.templates) size += shape.shared_arguments.size();
  return size;
}

Result<void> check_chunk(const GraphChunk& chunk) {
  std::size_t tasks = chunk.size();
  if (chunk.keys.size() != 16 * tasks) return bad("the key column has another length than the task column");
  if (chunk.argument_ends.size() != tasks || !rises(chunk.argument_ends, chunk.arguments.size()))
    return bad("the argument columns do not match");
  if (!chunk.input_ends.empty() && chunk.input_ends.size() != tasks) return bad("the input columns do not match");
  if (!rises(chunk.input_ends, chunk.inputs.size())) return bad("the input columns do not match");
  if (!chunk.input_parts.empty() && chunk.input_parts.size() != chunk.inputs.size())
    return bad("the input part column has another length than the input column");
  if (!chunk.order.empty() && chunk.order.size() != tasks) return bad("the order column has another length");
  for (std::uint32_t row : chunk.wanted)
    if (row >= tasks) return bad("a wanted row does not exist");
  if (size_in_memory(chunk) > 4 * GraphChunk::bytes_max) return bad("it is larger than the " + std::to_string(GraphChunk::bytes_max) + " bytes of a chunk");
  for (const Template& shape : chunk.templates) {
    if (shape.label.size() > name_bytes_max) return bad("a label has at most " + std::to_string(name_bytes_max) + " bytes");
    if (shape.options.cores == 0) return bad("'" + shape.label + "' asks for 0 cores; ask for 1 or more");
    for (Duration asked : {shape.options.timeout, shape.options.retry_delay})
      if (asked < Duration{} || asked > duration_max) return bad("'" + shape.label + "' asks for a timeout or a delay below 0 or above 10 years");
    for (const auto& [name, amount] : shape.options.resources)
      if (!(amount >= 0 && amount < 1e15)) return bad("'" + shape.label + "' asks for an impossible amount of " + name.substr(0, name_bytes_max));
  }
  for (std::size_t row = 0; row < tasks; ++row) {
    if (chunk.template_of[row] >= chunk.templates.size())
      return bad("task " + chunk.key(row).hex() + " names a template that is not there");
    auto [begin, end] = chunk.inputs_of(row);
    if (end - begin > GraphChunk::inputs_max)
      return bad("task " + chunk.key(row).hex() + " has more inputs than " + std::to_string(GraphChunk::inputs_max));
    for (std::uint32_t i = begin; i < end; ++i)
      if (chunk.inputs[i] >= chunk.externals.size() + row)
        return bad("task " + chunk.key(row).hex() + " depends on itself or on a later task");
  }
  return {};
}

}  // namespace weft
