// Turns tasks into graph chunks: columns of at most about 4 MiB that refer only backwards. Equal keys become one task. It knows
// nothing of types, futures or links.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "common/graph.h"
#include "common/key_index.h"

namespace weft::client {

/// One input of a task: the value of a key, or one part of it.
struct TaskInput {
  Key key;
  std::uint32_t part = whole_value;
};

class GraphBuilder {
 public:
  explicit GraphBuilder(std::size_t chunk_bytes_max = GraphChunk::bytes_max - (GraphChunk::bytes_max >> 3))
      : bytes_max_(chunk_bytes_max) {}

  /// Register what tasks of one shape share; an equal template registered last time is the same number.
  std::uint32_t add_template(const Template& shape);

  /// Append a task. Its inputs are earlier tasks of this builder, or keys the scheduler knows. `wanted`: the client holds one
  /// future more of it. A key that is already in the chunk is the same task.
  void add(std::uint32_t shape, const Key& key, std::span<const std::byte> arguments, std::span<const TaskInput> inputs,
           bool wanted);

  /// All chunks so far, in the order in which they must be sent; the builder is then empty and keeps its templates.
  std::vector<GraphChunk> take();

  bool empty() const { return finished_.empty() && chunk_.size() == 0; }

 private:
  void add_inputs(std::span<const TaskInput> inputs);
  std::uint32_t local_template(std::uint32_t shape);
  void finish();

  std::size_t bytes_max_;
  std::vector<Template> templates_;
  std::vector<std::uint32_t> local_;      // by template: its number in this chunk, or none
  GraphChunk chunk_;
  std::size_t bytes_ = 0;
  bool parts_ = false;                    // some input is a part
  KeyIndex rows_;                         // key -> row of this chunk
  KeyIndex external_rows_;                // key -> place in chunk_.externals
  std::vector<GraphChunk> finished_;
};

}  // namespace weft::client
