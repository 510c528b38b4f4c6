// Marks on rare branches of the states, and planted bugs: what the simulator must reach, and what it must find. Both are nothing in
// what users get; only the simulator's own build of the states (WEFT_SIMULATED) has them.
#pragma once

#ifdef WEFT_SIMULATED

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace weft {

/// A branch that was marked; all of them are in a list, also those that no run ever reached.
class CoverageMark {
 public:
  // More is not counted: threads would only quarrel over the line.
  static constexpr std::uint32_t count_max = 1'000;

  explicit CoverageMark(const char* mark) : name(mark), next(first) { first = this; }
  void reach() {
    if (count.load(std::memory_order_relaxed) < count_max) count.fetch_add(1, std::memory_order_relaxed);
  }

  const char* const name;
  CoverageMark* const next;
  std::atomic<std::uint32_t> count{0};
  static inline CoverageMark* first = nullptr;  // written before main
};

/// The name itself is the type, so that a mark exists as soon as its line is compiled.
template <std::size_t size>
struct MarkName {
  char text[size];
  constexpr MarkName(const char (&name)[size]) { std::copy(name, name + size, text); }
};
template <MarkName name>
struct Marked {
  static constexpr auto kept = name;
  static inline CoverageMark mark{kept.text};
};

inline int planted_bug = 0;  // its number; 0: none

}  // namespace weft

#define WEFT_MARK(name) ::weft::Marked<name>::mark.reach()
/// `good`, or `bad` if this bug was chosen.
#define WEFT_MUTANT(number, good, bad) (::weft::planted_bug == (number) ? (bad) : (good))
/// Before a statement: it is left out if this bug was chosen.
#define WEFT_UNLESS(number) if (::weft::planted_bug != (number))
#else
#define WEFT_MARK(name) static_cast<void>(0)
#define WEFT_MUTANT(number, good, bad) (good)
#define WEFT_UNLESS(number)
#endif
