#include "client/order.h"

#include <algorithm>
#include <utility>

namespace weft::client {

namespace {

using Number = std::uint32_t;
constexpr Number none = 0xffffffff;

class Ordering {
 public:
  Ordering(std::span<const Number> ends, std::span<const Number> inputs) : ends_(ends), inputs_(inputs) {}

  std::vector<Number> run() {
    link_readers();
    measure();
    std::vector<Number> sinks;
    for (Number task = 0; task < count(); ++task)
      if (need_[task] != 0 && readers(task).empty()) sinks.push_back(task);
    std::stable_sort(sinks.begin(), sinks.end(), [this](Number a, Number b) { return need_[a] < need_[b]; });
    order_.reserve(count());
    for (Number sink : sinks) descend(sink);
    return std::move(order_);
  }

 private:
  Number count() const { return ends_.size(); }
  std::span<const Number> inputs(Number task) const {
    Number begin = task ? ends_[task - 1] : 0;
    return inputs_.subspan(begin, ends_[task] - begin);
  }
  std::span<const Number> readers(Number task) const {
    return std::span(readers_).subspan(reader_begin_[task], reader_begin_[task + 1] - reader_begin_[task]);
  }

  void link_readers() {
    reader_begin_.assign(count() + 1, 0);
    for (Number input : inputs_) ++reader_begin_[input + 1];
    for (Number task = 0; task < count(); ++task) reader_begin_[task + 1] += reader_begin_[task];
    readers_.resize(inputs_.size());
    std::vector<Number> next(reader_begin_.begin(), reader_begin_.end() - 1);
    for (Number task = 0; task < count(); ++task)
      for (Number input : inputs(task)) readers_[next[input]++] = task;
  }

  // need_[t]: values alive at once while t's subtree is computed, were it a tree. Tasks on cycles keep 0.
  void measure() {
    need_.assign(count(), 0);
    missing_.resize(count());
    unread_.resize(count());
    std::vector<Number> work, needs;
    for (Number task = 0; task < count(); ++task) {
      missing_[task] = inputs(task).size();
      unread_[task] = readers(task).size();
      if (missing_[task] == 0) work.push_back(task);
    }
    std::vector<Number> missing = missing_;
    for (std::size_t at = 0; at < work.size(); ++at) {
      Number task = work[at];
      needs.clear();
      for (Number input : inputs(task)) needs.push_back(need_[input]);
      std::sort(needs.begin(), needs.end(), std::greater<>());
      Number need = 1;
      for (std::size_t i = 0; i < needs.size(); ++i) need = std::max<Number>(need, needs[i] + i);
      need_[task] = need;
      for (Number reader : readers(task))
        if (--missing[reader] == 0) work.push_back(reader);
    }
    done_.assign(count(), false);
  }

  // Post-order below `sink`, without recursion.
  void descend(Number sink) {
    stack_.push_back(sink);
    while (!stack_.empty()) {
      Number task = stack_.back();
      if (done_[task] || missing_[task] == 0) {
        stack_.pop_back();
        if (!done_[task]) emit(task);
        continue;
      }
      std::size_t first = stack_.size();
      for (Number input : inputs(task))
        if (!done_[input]) stack_.push_back(input);
      // The hungriest on top, so that it runs while nothing of its siblings is alive; equals in their given order.
      std::reverse(stack_.begin() + first, stack_.end());
      std::stable_sort(stack_.begin() + first, stack_.end(), [this](Number a, Number b) { return need_[a] < need_[b]; });
    }
  }

  // Run a task, and then every task that can run now and is the last reader of something.
  void emit(Number start) {
    ready_.push_back(start);
    while (!ready_.empty()) {
      Number task = ready_.back();
      ready_.pop_back();
      if (done_[task]) continue;
      done_[task] = true;
      order_.push_back(task);
      for (Number input : inputs(task))
        if (--unread_[input] == 1) offer(last_reader(input));
      for (Number reader : readers(task))
        if (--missing_[reader] == 0 && frees_something(reader)) ready_.push_back(reader);
    }
  }
  void offer(Number task) {
    if (task != none && missing_[task] == 0) ready_.push_back(task);
  }
  Number last_reader(Number input) const {
    for (Number reader : readers(input))
      if (!done_[reader]) return reader;
    return none;
  }
  bool frees_something(Number task) const {
    for (Number input : inputs(task))
      if (unread_[input] == 1) return true;
    return false;
  }

  std::span<const Number> ends_, inputs_;
  std::vector<Number> reader_begin_, readers_;
  std::vector<Number> need_, missing_, unread_;
  std::vector<bool> done_;
  std::vector<Number> stack_, ready_, order_;
};

}  // namespace

std::vector<Number> order_tasks(std::span<const Number> ends, std::span<const Number> inputs) {
  return Ordering(ends, inputs).run();
}

}  // namespace weft::client
