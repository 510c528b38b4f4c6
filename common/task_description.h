// All that is needed to run one task again somewhere else: what the scheduler answers to the question "describe".
#pragma once

#include "common/messages.h"

namespace weft {

struct DescribedInput {
  Key key;
  std::uint32_t part = whole_value;
  std::uint64_t bytes = 0;
  std::string label;
  bool stored = false;               // else nobody holds it any more
  template <class A>
  void fields(A& a) {
    a(key, part, bytes, label, stored);
  }
};
struct TaskDescription {
  Key key;
  Template shape;
  Bytes arguments;
  std::vector<DescribedInput> inputs;
  Bytes program;                     // encoded ProgramSetup; empty: its client did not say
  template <class A>
  void fields(A& a) {
    a(key, shape, arguments, inputs, program);
  }
};

}  // namespace weft
