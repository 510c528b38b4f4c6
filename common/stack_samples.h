// Samples of running tasks' stacks. They travel as log lines of a level of their own, from an executor to whoever observes the
// scheduler, and are kept in no log.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weft {

/// LogLine::level of samples: behind syslog's debug.
inline constexpr std::uint32_t samples_level = 8;

/// So many samples found tasks of this label in this stack: a function a line, the task's own first.
struct StackSamples {
  std::string label, stack;
  std::uint32_t count = 0;
  std::uint32_t period_us = 0;   // of CPU time, that each sample stands for

  std::string text() const {
    return std::to_string(count) + '\0' + std::to_string(period_us) + '\0' + label + '\0' + stack;
  }
  /// Trusts nothing.
  static std::optional<StackSamples> read(std::string_view text) {
    StackSamples samples;
    for (std::uint32_t* number : {&samples.count, &samples.period_us}) {
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
      if (error != std::errc() || end == text.data() + text.size() || *end != '\0' || *number > 1'000'000) return std::nullopt;
      text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
    }
    std::size_t label_end = text.find('\0');
    if (label_end == text.npos) return std::nullopt;
    samples.label = text.substr(0, label_end);
    samples.stack = text.substr(label_end + 1);
    return samples;
  }
};

}  // namespace weft
