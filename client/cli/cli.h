// The `weft` command: what its verbs share. A verb declares its options, asks a cluster (or this machine), and shows the answer
// as a table for people or as JSON for programs.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <weft/client.h>

#include "common/options.h"

namespace weft::cli {

using Json = nlohmann::ordered_json;
using Arguments = std::span<const std::string>;

/// One verb. `run` gets what follows its name and returns the exit code; a weft::Error that it throws is shown by `main`.
struct Verb {
  const char* name;
  const char* summary;
  int (*run)(Arguments);
};
std::span<const Verb> all_verbs();

/// The options that all verbs have, and a verb's own.
class VerbOptions {
 public:
  enum class Asks : bool { nobody, cluster };
  /// A verb that asks nobody has no options of where the cluster is, and its own section in a configuration file: its name.
  VerbOptions(const std::string& verb, const std::string& summary, Asks asks = Asks::cluster);
  /// Declare the verb's own options here.
  ProgramOptions& add() { return options_; }
  /// Read all. Returns the exit code if the verb should end now.
  std::optional<int> start(Arguments arguments);

  bool json() const { return json_; }
  Duration timeout() const { return timeout_; }
  const ProgramOptions& options() const { return options_; }
  /// Where the cluster is: --address, --scheduler-file, $WEFT_ADDRESS, $WEFT_SCHEDULER_FILE, or a scheduler of this machine. Makes
  /// the scheduler file known to whoever looks for keys. Throws if the file cannot be read, and NoScheduler.
  std::string address() const;
  /// Whether any of these was given.
  bool names_a_cluster() const { return !address_.empty() || !scheduler_file_.empty(); }

 private:
  std::string verb_;
  ProgramOptions options_;
  bool json_ = false;
  std::string address_, scheduler_file_;
  Duration timeout_ = 10s;
};

/// No scheduler was named, and none runs on this machine.
class NoScheduler : public ConnectionFailed {
  using ConnectionFailed::ConnectionFailed;
};

/// Whether an error should be shown as JSON: what the verb's options said last.
bool errors_as_json();

/// A connected client that reads answers. All members throw weft::Error.
class Cluster {
 public:
  explicit Cluster(const VerbOptions& options);
  Json ask(const std::string& verb, std::vector<std::string> words = {}, std::vector<Key> keys = {});
  /// A verb that changes something: asked at most once.
  Json order(const std::string& verb, std::vector<std::string> words = {}, std::vector<Key> keys = {});
  void cancel(std::vector<Key> keys, const std::string& reason);
  /// A key as people write it: 32 hexadecimal digits, or the first ones of exactly one task (at least 4).
  Key find_key(const std::string& text);
  const std::string& address() const { return address_; }
  Client& client() { return client_; }

 private:
  std::string address_;
  Client client_;
};

/// The one file that a verb makes: beside its place first, and then renamed. One that is there is replaced only with --force.
class OutputFile {
 public:
  /// Declares --force.
  explicit OutputFile(VerbOptions& options);
  /// Throws if the file may not be made: before there is work for nothing.
  void choose(const std::string& path);
  /// Writes all, and says so with name and size. Returns the exit code.
  int write(const std::string& verb, std::string_view bytes, unsigned mode = 0644) const;

 private:
  void check() const;
  VerbOptions& options_;
  std::string path_;
  bool force_ = false;
};

// ---------------------------------------------------------------------------------------------------- showing

/// Rows under headings. Columns of numbers are aligned right; headings are bold on a terminal unless NO_COLOR is set.
class Table {
 public:
  explicit Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  std::string text(bool bold) const;
  void print() const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<std::string>> rows_;
};

/// `{"version": 1, "command": verb, "data": …}` on stdout.
void print_json(const std::string& verb, const Json& data);
void print(const std::string& text);
/// Text from a cluster with control characters made harmless for a terminal; newlines stay if `lines`.
std::string harmless(const std::string& text, bool lines = false);

/// "1.5 GiB", "12 KiB", "0".
std::string show_bytes(double bytes);
/// "3 s", "2 min", "150 ms".
std::string show_seconds(double seconds);
/// Whether stdout is a terminal that wants colours.
bool colours();

// ---------------------------------------------------------------------------------------------------- the verbs

int run_status(Arguments);
int run_workers(Arguments);
int run_tasks(Arguments);
int run_story(Arguments);
int run_explain(Arguments);
int run_logs(Arguments);
int run_debug(Arguments);
int run_retire(Arguments);
int run_cancel(Arguments);
int run_restart(Arguments);
int run_dump(Arguments);
int run_top(Arguments);
int run_history(Arguments);
int run_report(Arguments);
int run_trace(Arguments);
int run_replay(Arguments);
int run_local(Arguments);
int run_keys(Arguments);
int run_config(Arguments);
int run_doctor(Arguments);
int run_completion(Arguments);

}  // namespace weft::cli
