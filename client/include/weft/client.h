// The door to a cluster: submits work, moves data in and out, asks what is going on.
//
// Thread-safe: all threads of a process may share one Client. Its two threads (one for the links, one for callbacks, started
// with the first callback) begin with the first Client, none before. Destroying it waits for what was submitted to be received,
// then ends open futures with ConnectionFailed; use fire_and_forget for work that must go on. Not usable after fork.
#pragma once

#include <concepts>
#include <iterator>

#include <weft/wait.h>

namespace weft {

namespace client {
struct Links;
}

namespace detail {

template <class A>
concept Iterable = requires(const A& a) {
  std::begin(a);
  std::end(a);
};
template <class A>
using ElementOf = std::iter_value_t<decltype(std::begin(std::declval<const A&>()))>;

/// Whether argument A of a map has one element per task: it is a range, and not itself what the parameter takes.
template <class F, std::size_t I, class A>
constexpr bool varies() {
  if constexpr (!Iterable<A> || std::is_convertible_v<const A&, std::string_view>) return false;
  else if constexpr (!Signature<F>::known) return true;
  else {
    using Parameters = typename Signature<F>::parameters;
    return []<class... P>(TypeList<P...>) {
      if constexpr (I < sizeof...(P)) {
        using Parameter = std::remove_cvref_t<std::tuple_element_t<I, std::tuple<P...>>>;
        return !std::is_convertible_v<typename Resolve<A>::type, Parameter>;
      } else return true;
    }(Parameters{});
  }
}
template <bool Varies, class A>
auto map_slot(const A& argument) {
  if constexpr (Varies) return Each<ElementOf<A>>{};
  else return Same<A>{argument};
}

template <class F, class... A>
auto map_calls(const ClientPointer& client, const Options& options, F f, const A&... arguments) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    static_assert((varies<F, I, A>() || ...), "weft: map needs at least one range; use submit for a single call");
    auto make = [&](const auto&... slots) {
      MapCall<F, std::remove_cvref_t<decltype(slots)>...> call(f, slots...);
      MapTasks tasks;
      tasks.shape = call.shape();
      tasks.shared = &call.shared();
      // Walk all ranges together; the shortest ends the map.
      auto at = std::tuple([&] {
        if constexpr (varies<F, I, A>()) return std::begin(arguments);
        else return 0;
      }()...);
      auto more = [&] {
        return ([&] {
          if constexpr (varies<F, I, A>()) return std::get<I>(at) != std::end(arguments);
          else return true;
        }() && ...);
      };
      auto element = [&]<std::size_t J, class B>() {
        if constexpr (!varies<F, J, B>()) return std::tuple<>();
        // A view may make its elements, and a vector<bool> its proxies, as it goes.
        else if constexpr (std::is_lvalue_reference_v<decltype(*std::get<J>(at))>)
          return std::tuple<const ElementOf<B>&>(*std::get<J>(at));
        else return std::tuple<ElementOf<B>>(*std::get<J>(at));
      };
      while (more()) {
        auto row = std::tuple_cat(element.template operator()<I, A>()...);
        tasks.keys.push_back(std::apply([&](const auto&... e) { return call.add(tasks.own, e...); }, row));
        tasks.byte_ends.push_back(tasks.own.bytes.size());
        tasks.input_ends.push_back(tasks.own.inputs.size());
        ([&] {
          if constexpr (varies<F, I, A>()) ++std::get<I>(at);
        }(), ...);
      }
      return submit_map(client, options, std::move(tasks));
    };
    return make(map_slot<varies<F, I, A>()>(arguments)...);
  }(std::index_sequence_for<A...>{});
}

}  // namespace detail

struct ScatterOptions {
  /// Names or addresses of workers to place the data on. Default: any.
  std::vector<std::string> workers{};
  /// On how many workers, from 1. Default 1; n replicas survive n-1 losses. The future is ready with the first copy.
  std::uint32_t replicas = 1;
  /// One on every worker.
  bool broadcast = false;
};

/// A worker as the scheduler sees it.
struct WorkerInfo {
  std::uint32_t id = 0;                     // never used again for another process
  std::string name;
  std::string address;                      // of its value socket
  std::string host;
  std::uint64_t pid = 0;
  std::uint32_t slots = 1;                  // tasks at once
  std::map<std::string, double> resources;
  std::string status;                       // "running", "paused" (memory is nearly full), "disconnected" or "retiring"
  bool runs_user_code = true;
  std::uint64_t assigned = 0;               // tasks it was given and has not finished
  std::uint64_t values = 0;                 // results it holds
  std::uint64_t value_bytes = 0;
  std::uint64_t managed_bytes = 0;          // of values in memory, as it said last
  std::uint64_t spilled_bytes = 0;          // of values on its disk
  std::uint64_t process_bytes = 0;          // resident, executors included
  std::uint64_t memory_limit = 0;
  std::chrono::duration<double> heard_ago{0};
};

class Client {
 public:
  /// Connect to WEFT_ADDRESS, else to the scheduler of the file WEFT_SCHEDULER_FILE; if neither is set, start an embedded
  /// scheduler and workers in this process.
  Client();
  /// Connect to a scheduler; an empty address is looked for as above. Returns at once; futures end with ConnectionFailed if nobody
  /// answers in `connect_timeout`.
  explicit Client(const std::string& address, const ClientOptions& options = {});
  /// For clusters that know how they are reached (LocalCluster).
  template <class Cluster>
    requires requires(const Cluster& cluster) { { cluster.address() } -> std::convertible_to<std::string>; }
  explicit Client(const Cluster& cluster, const ClientOptions& options = {}) : Client(cluster.address(), options) {}
  explicit Client(client::Links links, const ClientOptions& options = {});
  /// One more door to a client that somebody else closes (a task's own).
  explicit Client(detail::ClientPointer core) : core_(std::move(core)), shared_(true) {}
  Client(Client&&) noexcept = default;
  Client& operator=(Client&&) noexcept;
  ~Client();
  /// Say goodbye now. Idempotent.
  void close();

  /// Run f(args...) on the cluster. Arguments may be or contain futures. Equal pure calls are one task.
  template <class F, class... A>
    requires(!std::is_same_v<std::decay_t<F>, Options>)
  auto submit(F&& f, const A&... args) {
    return submit(Options{}, std::forward<F>(f), args...);
  }
  template <class F, class... A>
  auto submit(const Options& options, F&& f, const A&... args) {
    using R = detail::CallResult<std::decay_t<F>, A...>;
    return Future<R>(detail::submit_call(core(), options, detail::prepare(std::forward<F>(f), args...)));
  }

  /// Run f once for each element of the ranges (walked together, the shortest ends); other arguments are equal in all calls.
  ///
  /// A range where the function takes that very type is a constant. Element i has the key of the same `submit`.
  /// Cost:   one compact message per about 100 000 elements; 0 elements is fine.
  template <class F, class... A>
    requires(!std::is_same_v<std::decay_t<F>, Options>)
  auto map(F f, const A&... args) {
    return map(Options{}, f, args...);
  }
  template <class F, class... A>
  auto map(const Options& options, F f, const A&... args) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      using R = detail::CallResult<F, typename decltype(detail::map_slot<detail::varies<F, I, A>()>(args))::type...>;
      std::vector<Future<R>> futures;
      for (auto& handle : detail::map_calls(core(), options, f, args...)) futures.emplace_back(std::move(handle));
      return futures;
    }(std::index_sequence_for<A...>{});
  }

  /// Run f(args...) once on every worker, ahead of queued tasks; the results by name of worker (of a void function: nothing).
  ///
  /// `options.workers` (names, addresses or hosts) selects some. Waits for all of them.
  /// Errors: throws the first failure in the order of names; `failure().worker` names the worker. A crash is not tried again, and a
  /// worker that leaves first is WorkerUnavailable. Throws WorkerUnavailable if there is no worker, or one does not offer what
  /// `options` ask for.
  template <class F, class... A>
    requires(!std::is_same_v<std::decay_t<F>, Options>)
  auto run(F&& f, const A&... args) {
    return run(Options{}, std::forward<F>(f), args...);
  }
  template <class F, class... A>
  auto run(const Options& options, F&& f, const A&... args) {
    using R = detail::CallResult<std::decay_t<F>, A...>;
    std::vector<WorkerInfo> where = runners(options);
    std::vector<detail::FutureHandle> handles;
    for (const WorkerInfo& worker : where)
      handles.push_back(detail::submit_call(core(), options_on(worker, options), detail::prepare(f, args...)));
    await_run(where, handles);
    if constexpr (!std::is_void_v<R>) {
      std::map<std::string, R> results;
      for (std::size_t i = 0; i < where.size(); ++i) results.emplace(where[i].name, Future<R>(handles[i]).result());
      return results;
    }
  }

  /// See weft::gather.
  template <class Futures>
  auto gather(const Futures& futures) {
    return weft::gather(futures);
  }
  template <class Futures>
  auto gather(const Futures& futures, Errors errors) {
    return weft::gather(futures, errors);
  }

  /// Place a value on workers. The future's key is the hash of its content, so equal values are placed once.
  template <class T>
  Future<T> scatter(const T& value, const ScatterOptions& options = {}) {
    return Future<T>(place({to_value(value)}, options)[0]);
  }
  template <class T>
  std::vector<Future<T>> scatter_all(const std::vector<T>& values, const ScatterOptions& options = {}) {
    std::vector<Value> blocks;
    for (const auto& value : values) blocks.push_back(to_value(value));
    std::vector<Future<T>> futures;
    for (auto& handle : place(std::move(blocks), options)) futures.emplace_back(std::move(handle));
    return futures;
  }

  /// Give these up, all at once. See Future::cancel. Here and below another client's future is InvalidArgument.
  template <class T>
  void cancel(const std::vector<Future<T>>& futures, std::string reason = {}, bool force = false) {
    cancel_keys(keys_of(futures), std::move(reason), force);
  }
  /// Run those that failed again, with the failed tasks they depend on. Errors: throws InvalidArgument for another client's future.
  template <class T>
  void retry(const std::vector<Future<T>>& futures) {
    retry_all(handles_of(futures));
  }
  /// Run these to the end even if this client leaves; their results are not kept.
  template <class T>
  void fire_and_forget(const Future<T>& future) {
    run_alone(own_keys({future.handle()}));
  }
  template <class T>
  void fire_and_forget(const std::vector<Future<T>>& futures) {
    run_alone(keys_of(futures));
  }

  /// Keep results alive under a name for every client. Errors: throws InvalidArgument if the name is taken.
  template <class T>
  void publish(const std::string& name, const std::vector<Future<T>>& futures, bool replace = false) {
    publish_keys(name, keys_of(futures), type_tag<T>(), replace);
  }
  template <class T>
  void publish(const std::string& name, const Future<T>& future, bool replace = false) {
    publish_keys(name, own_keys({future.handle()}), type_tag<T>(), replace);
  }
  /// The futures that were published under the name. Reading one throws TypeMismatch when T is not what was published.
  template <class T>
  std::vector<Future<T>> get_dataset(const std::string& name) {
    std::vector<Future<T>> futures;
    for (auto& handle : attach_dataset(name)) futures.emplace_back(std::move(handle));
    return futures;
  }
  /// Forget the name; who holds futures of the results keeps them.
  void unpublish(const std::string& name);
  /// JSON: for each name its tasks, how many are stored, and their bytes.
  std::string list_datasets();

  // Questions. Each is one round trip, asked again after a broken link, and answered with JSON text from the scheduler's tables;
  // an empty list of keys or workers means all. Errors: throws ConnectionFailed when the scheduler is gone.

  /// Shape:  {key: [worker, …]}: which workers hold each result.
  std::string who_has(const std::vector<Key>& keys = {});
  /// Shape:  {worker: [key, …]}: the results that each worker holds.
  std::string has_what(const std::vector<std::string>& workers = {});
  /// Shape:  {worker: [{"key": key, "label": label, "started": bool}, …]}: the tasks that each worker was given and has not
  ///         finished; with "progress" where the task said how far it is.
  std::string processing(const std::vector<std::string>& workers = {});
  /// Shape:  [{"to": state, …}, …]: what happened to the task, oldest first, each attempt and its worker included.
  std::string story(const Key& key);
  /// Shape:  {"state": state, …}: why the task is where it is: what it waits for, where it runs, why it ran again.
  std::string explain(const Key& key);
  /// All workers that the scheduler knows, also those that are paused, disconnected or retiring.
  std::vector<WorkerInfo> workers();
  /// The same as JSON: one object for each worker.
  std::string workers_json();
  /// Log lines and transitions in the order of time. Topics: "log", "task", the name of a worker, the label of tasks.
  std::string events(const std::string& topic = {});
  /// The log lines alone, of these workers or of all.
  std::string logs(const std::vector<std::string>& workers = {});
  /// Everything a bug report needs, at most 8 MiB.
  std::string dump();

  /// Show bars on the terminal (see weft::progress) until no task of any client is open.
  void progress();

  // Commands to the whole cluster, answered with JSON text. At most once: a link that breaks meanwhile throws ConnectionFailed with
  // "unknown", since nobody knows then whether it was done.

  /// Forget all tasks of all clients and restart the workers' executors.
  std::string restart();
  /// Have workers hand over what only they hold, finish what runs, and leave. Answers of each whether it goes, and else why it stays:
  /// `[{"worker": "w1", "retiring": false, "already": false, "reason": "it holds 2 values ..."}]`. A name that no worker has throws
  /// InvalidArgument, and nobody is told to go.
  std::string retire_workers(const std::vector<std::string>& workers);
  /// Move results from full workers to empty ones. Default: all results.
  std::string rebalance(const std::vector<Key>& keys = {});
  /// Keep each of these results on so many workers.
  ///
  /// Errors: throws InvalidArgument for 0 replicas.
  std::string replicate(const std::vector<Key>& keys, std::uint32_t replicas);
  /// Any other verb of the scheduler.
  std::string ask(const std::string& verb, std::vector<std::string> words, std::vector<Key> keys, bool repeatable);

  /// Internal. Errors: throws InvalidArgument if this Client was moved from.
  const detail::ClientPointer& core() const;

 private:
  template <class T>
  std::vector<Key> keys_of(const std::vector<Future<T>>& futures) const {
    return own_keys(handles_of(futures));
  }
  template <class T>
  static std::vector<detail::FutureHandle> handles_of(const std::vector<Future<T>>& futures) {
    std::vector<detail::FutureHandle> handles;
    for (const auto& future : futures) handles.push_back(future.handle());
    return handles;
  }
  /// Throws InvalidArgument for another client's.
  std::vector<Key> own_keys(const std::vector<detail::FutureHandle>& handles) const;
  std::vector<detail::FutureHandle> place(std::vector<Value> values, const ScatterOptions& options);
  void cancel_keys(std::vector<Key> keys, std::string reason, bool force);
  void retry_all(const std::vector<detail::FutureHandle>& futures);
  void run_alone(std::vector<Key> keys);
  void publish_keys(const std::string& name, std::vector<Key> keys, TypeTag type, bool replace);
  std::vector<detail::FutureHandle> attach_dataset(const std::string& name);
  std::vector<WorkerInfo> runners(const Options& options);
  static Options options_on(const WorkerInfo& worker, Options options);
  void await_run(const std::vector<WorkerInfo>& workers, const std::vector<detail::FutureHandle>& handles);

  detail::ClientPointer core_;
  bool shared_ = false;  // somebody else closes it
};

}  // namespace weft
