#include "client/graph_builder.h"

#include <utility>

namespace weft::client {

namespace {

// A chunk as its two indexes see it: rows that have a key.
struct Keyed {
  Key key;
};
struct Rows {
  const GraphChunk& chunk;
  Keyed operator[](std::uint32_t row) const { return {chunk.key(row)}; }
};
struct Externals {
  const GraphChunk& chunk;
  Keyed operator[](std::uint32_t number) const { return {chunk.externals[number]}; }
};

}  // namespace

// While a chunk grows, the number of externals is not known, so inputs that are rows carry this mark until it is finished.
static constexpr std::uint32_t row_mark = 0x80000000;

std::uint32_t GraphBuilder::add_template(const Template& shape) {
  // Calls in a row usually have the same shape; comparing with a few recent ones finds them without hashing a whole template.
  for (std::size_t back = 1; back <= 4 && back <= templates_.size(); ++back)
    if (templates_[templates_.size() - back] == shape) return templates_.size() - back;
  templates_.push_back(shape);
  local_.push_back(KeyIndex::none);
  return templates_.size() - 1;
}

std::uint32_t GraphBuilder::local_template(std::uint32_t shape) {
  if (local_[shape] == KeyIndex::none) {
    local_[shape] = chunk_.templates.size();
    chunk_.templates.push_back(templates_[shape]);
    bytes_ += templates_[shape].shared_arguments.size() + 200;
  }
  return local_[shape];
}

void GraphBuilder::add(std::uint32_t shape, const Key& key, std::span<const std::byte> arguments,
                       std::span<const TaskInput> inputs, bool wanted) {
  WEFT_CHECK(shape < templates_.size());
  std::size_t bytes = 28 + arguments.size() + 24 * inputs.size();
  if (chunk_.size() > 0 && bytes_ + bytes > bytes_max_) finish();
  std::uint32_t row = rows_.find(key, Rows{chunk_});
  if (row == KeyIndex::none) {
    row = chunk_.size();
    add_inputs(inputs);
    chunk_.template_of.push_back(local_template(shape));
    auto* raw = reinterpret_cast<const std::byte*>(&key);
    chunk_.keys.insert(chunk_.keys.end(), raw, raw + sizeof key);
    chunk_.arguments.insert(chunk_.arguments.end(), arguments.begin(), arguments.end());
    chunk_.argument_ends.push_back(chunk_.arguments.size());
    chunk_.input_ends.push_back(chunk_.inputs.size());
    rows_.insert(key, row);
    bytes_ += bytes;
  }
  if (wanted) chunk_.wanted.push_back(row);
}

void GraphBuilder::add_inputs(std::span<const TaskInput> inputs) {
  for (const TaskInput& input : inputs) {
    std::uint32_t number = rows_.find(input.key, Rows{chunk_});
    if (number != KeyIndex::none) {
      number |= row_mark;
    } else {
      number = external_rows_.find(input.key, Externals{chunk_});
      if (number == KeyIndex::none) {
        number = chunk_.externals.size();
        chunk_.externals.push_back(input.key);
        external_rows_.insert(input.key, number);
      }
    }
    chunk_.inputs.push_back(number);
    chunk_.input_parts.push_back(input.part);
    parts_ |= input.part != whole_value;
  }
}

void GraphBuilder::finish() {
  if (chunk_.size() == 0) return;
  auto externals = static_cast<std::uint32_t>(chunk_.externals.size());
  for (std::uint32_t& input : chunk_.inputs)
    if (input & row_mark) input = (input & ~row_mark) + externals;
  if (!parts_) chunk_.input_parts.clear();
  if (chunk_.inputs.empty()) chunk_.input_ends.clear();
  finished_.push_back(std::exchange(chunk_, {}));
  rows_.clear();
  external_rows_.clear();
  local_.assign(templates_.size(), KeyIndex::none);
  bytes_ = 0;
  parts_ = false;
}

std::vector<GraphChunk> GraphBuilder::take() {
  finish();
  // Few templates are worth remembering; a program with many shapes must not make the table grow for ever.
  if (templates_.size() > 1024) {
    templates_.clear();
    local_.clear();
  }
  return std::exchange(finished_, {});
}

}  // namespace weft::client
