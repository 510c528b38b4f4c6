// What a running task can know and do: who it is, whether it is still wanted, logs, progress, things to keep between tasks, and a
// client of its own.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include <weft/client.h>

namespace weft {

/// As in syslog.
enum class LogLevel : std::uint8_t { error = 3, warning = 4, info = 6, debug = 7 };

/// The task that runs on this thread. Use it there only, and not after the task's function has returned.
class ThisTask {
 public:
  Key key() const;
  std::string label() const;
  /// This try among all tries of all tasks; rises with time.
  std::uint64_t attempt() const;
  /// Which try at this task it is, from 1.
  std::uint32_t try_number() const;
  /// Name of the worker.
  std::string worker() const;

  /// Whether nobody wants the result any more. Long loops on threads (embedded clusters, isolation = thread) look here and
  /// return; a process is simply stopped.
  bool cancelled() const;
  /// Write a line into the cluster's log, with this task's key; at most 64 KiB.
  void log(LogLevel level, std::string_view text) const;
  void log(std::string_view text) const { log(LogLevel::info, text); }
  /// Say how far it is, from 0 to 1: `explain`, `processing` and `weft tasks` show the newest word while it runs. Ten words a
  /// second go on; between two that follow each other within 5 ms in an executor process, the later one is left out.
  void progress(double fraction) const;

  /// Build something once and keep it for later tasks: a model, a connection.
  ///
  /// `factory` is a lambda without captures; its place in the program names the object. One object lives in each executor
  /// process, or in the process for tasks on threads, which then use it at the same time. It is never destroyed. A factory that
  /// throws is tried again by the next task.
  template <class T, class F>
  T& worker_local(F factory) const {
    static_assert(std::is_empty_v<F>, "weft: worker_local takes a lambda without captures, whose place names the object");
    static T* object = new T(factory());
    return *object;
  }

  /// A client that speaks through this task's worker: submit and wait for tasks as anywhere.
  ///
  /// All calls in one task give the same client; it ends with the task, and what only it held is released. While the task
  /// waits for a future its slot is lent to others, for at most 64 tasks of a worker; beyond that it runs queued tasks itself.
  /// Children run before older work. Between its calls nothing of it moves, so use it on the task's thread; a Future that a
  /// child fails throws the child's error.
  ///
  /// Errors: calls and waits throw Cancelled in a task on a thread that nobody wants any more.
  Client client() const;
};

/// The task that runs on this thread.
///
/// Errors: throws InvalidArgument outside a task, also on threads that a task has started.
ThisTask this_task();

}  // namespace weft
