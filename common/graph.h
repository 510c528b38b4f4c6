// A graph as it crosses the wire: columns. Templates hold what many tasks share (function, options, label); per task there
// are a key, a template number, argument bytes and inputs. A chunk refers only backwards, so no cycle can be written.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <weft/buffer.h>
#include <weft/key.h>

#include "common/ids.h"
#include "common/result.h"
#include "common/time.h"

namespace weft {

/// Which code a task runs. A built-in kernel has a number; user code is named by its place in an image of its program.
struct FunctionRef {
  std::uint32_t kernel = 0;       // built-in kernel; 0 for user code
  Key program;                    // content hash over the program's images: which package the worker must have
  Key thunk_image;                // build id (hashed) of the image that holds the typed caller
  std::uint64_t thunk_offset = 0; // the typed caller's registered offset in it
  Key target_image;               // plain functions: the image of the function itself
  std::uint64_t target_offset = 0;

  bool operator==(const FunctionRef&) const = default;
  template <class A>
  void fields(A& a) {
    a(kernel, program, thunk_image, thunk_offset, target_image, target_offset);
  }
};

/// What a user may say about one call. Defaults are those of the public `weft::Options`.
struct TaskOptions {
  bool pure = true;
  std::int32_t priority = 0;            // higher runs earlier
  std::uint32_t retries = 0;            // after exceptions and timeouts
  Duration retry_delay{};               // before the first retry; doubles each time
  std::uint32_t max_attempts = 3;       // tries in all when executors or workers die
  Duration timeout{};                   // of one attempt's run; 0 is none
  std::uint32_t cores = 1;
  std::map<std::string, double> resources;
  std::vector<std::string> workers;     // names, addresses or hosts; empty is any
  bool workers_strict = true;           // false: prefer them, run elsewhere if none can

  bool operator==(const TaskOptions&) const = default;
  template <class A>
  void fields(A& a) {
    a(pure, priority, retries, retry_delay, max_attempts, timeout, cores, resources, workers, workers_strict);
  }
};

/// What tasks of one shape share.
struct Template {
  std::string label;        // readable name; groups tasks on every screen
  FunctionRef function;
  TaskOptions options;
  Bytes shared_arguments;   // arguments equal for all tasks of the template

  bool operator==(const Template&) const = default;
  template <class A>
  void fields(A& a) {
    a(label, function, options, shared_arguments);
  }
};

/// An input whose whole value is wanted.
inline constexpr std::uint32_t whole_value = 0xffffffff;

/// Tasks in columns. Row i: template_of[i], keys[i], arguments[argument_ends[i-1] .. argument_ends[i]), and inputs
/// input_ends[i-1] .. input_ends[i) of the `inputs` and `input_parts` columns. An input is a number: below externals.size()
/// it is that external key, otherwise task number (input - externals.size()) of this chunk, which must be an earlier row.
struct GraphChunk {
  static constexpr std::size_t bytes_max = 4u << 20;
  static constexpr std::uint32_t inputs_max = 100'000;  // of one task

  std::vector<Template> templates;
  std::vector<Key> externals;
  std::vector<std::uint32_t> template_of;
  Bytes keys;                                  // 16 bytes each
  Bytes arguments;
  std::vector<std::uint32_t> argument_ends;
  std::vector<std::uint32_t> inputs;
  std::vector<std::uint32_t> input_parts;      // empty when every input is whole
  std::vector<std::uint32_t> input_ends;       // empty when no task has inputs
  std::vector<std::uint32_t> order;            // rank among the graph's tasks, smaller first; empty: row order
  std::vector<std::uint32_t> wanted;           // rows that the client holds futures of

  template <class A>
  void fields(A& a) {
    a(templates, externals, template_of, keys, arguments, argument_ends, inputs, input_parts, input_ends, order, wanted);
  }

  std::size_t size() const { return template_of.size(); }
  Key key(std::size_t row) const {
    Key key;
    std::memcpy(&key, keys.data() + 16 * row, 16);
    return key;
  }
  std::span<const std::byte> arguments_of(std::size_t row) const {
    std::uint32_t begin = row ? argument_ends[row - 1] : 0;
    return {arguments.data() + begin, argument_ends[row] - begin};
  }
  std::pair<std::uint32_t, std::uint32_t> inputs_of(std::size_t row) const {
    if (input_ends.empty()) return {0, 0};
    return {row ? input_ends[row - 1] : 0, input_ends[row]};
  }
  Key input_key(std::uint32_t input) const {
    return input < externals.size() ? externals[input] : key(input - externals.size());
  }
};

/// Check a chunk that came from outside: column lengths, backward references, limits. Names the offending key.
Result<void> check_chunk(const GraphChunk& chunk);

}  // namespace weft
