#include "worker/kernels/registry.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace weft::worker::kernels {
namespace {

void run_noop(detail::Call& call) { lay_out_value(call.result->place(value_size({})), 0, {}); }

void run_identity(detail::Call& call) {
  if (call.inputs.empty()) throw std::invalid_argument("identity needs one input");
  auto from = call.inputs[0].block().bytes();
  std::ranges::copy(from, call.result->place(from.size()).begin());
}

constexpr std::array<std::pair<std::uint32_t, detail::Thunk>, 2> all{{{noop, run_noop}, {identity, run_identity}}};

}  // namespace

detail::Thunk find(std::uint32_t number) {
  auto kernel = std::ranges::find(all, number, &std::pair<std::uint32_t, detail::Thunk>::first);
  return kernel == all.end() ? nullptr : kernel->second;
}

}  // namespace weft::worker::kernels
