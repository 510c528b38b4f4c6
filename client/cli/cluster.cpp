// Finding and asking a cluster.
#include <cstdlib>

#include "client/cli/cli.h"
#include "client/client_core.h"
#include "common/address.h"
#include "common/listen.h"
#include "common/scheduler_file.h"

namespace weft::cli {

namespace {

constexpr std::uint16_t client_port = 8786;
constexpr const char* local_scheduler = "tcp://127.0.0.1:8786";
bool json_errors = false;

ClientOptions client_options(const VerbOptions& options) {
  return {.name = "weft", .connect_timeout = options.timeout(), .patience = options.timeout()};
}

}  // namespace

bool errors_as_json() { return json_errors; }

VerbOptions::VerbOptions(const std::string& verb, const std::string& summary, Asks asks)
    : verb_(verb), options_("weft " + verb, asks == Asks::cluster ? "cli" : verb, summary) {
  options_.add_choice<bool>("output", json_, {{"table", false}, {"json", true}}, "how the answer is written; -o is the same");
  if (asks == Asks::nobody) return;
  options_.add("address", address_, "the scheduler's address for clients");
  options_.add("scheduler-file", scheduler_file_, "the file that the scheduler wrote");
  options_.add("timeout", timeout_, "how long the scheduler may take to answer");
}

std::optional<int> VerbOptions::start(Arguments arguments) {
  std::vector<std::string> words(arguments.begin(), arguments.end());
  for (std::string& word : words) {
    if (word == "--") break;
    if (word == "-o") word = "--output";
    else if (word.starts_with("-o") && word.size() > 2) word = "--output=" + word.substr(2);
  }
  auto code = options_.start(words);
  json_errors = json_;
  return code;
}

std::string VerbOptions::address() const {
  if (!scheduler_file_.empty()) setenv("WEFT_SCHEDULER_FILE", scheduler_file_.c_str(), 1);
  auto strength = [&](std::string_view name) {
    for (const OptionRow& row : options_.rows())
      if (row.name == name) return row.origin.kind;
    return OriginKind::by_default;
  };
  if (!names_a_cluster() && !somebody_listens({"127.0.0.1", {client_port, client_port}}))
    throw NoScheduler("no scheduler was named, and none runs on this machine (" + std::string(local_scheduler) +
                      "); start one with weft-scheduler, or say which with --address or --scheduler-file");
  bool file_first = !scheduler_file_.empty() && (address_.empty() || strength("scheduler-file") > strength("address"));
  if (!file_first) return to_text(read_contact_address(address_.empty() ? local_scheduler : address_, client_port).value_or_throw());
  return read_scheduler_file(scheduler_file_).value_or_throw().client_address;
}

Cluster::Cluster(const VerbOptions& options) : address_(options.address()), client_(address_, client_options(options)) {}

Json Cluster::ask(const std::string& verb, std::vector<std::string> words, std::vector<Key> keys) {
  return Json::parse(client_.ask(verb, std::move(words), std::move(keys), true));
}
Json Cluster::order(const std::string& verb, std::vector<std::string> words, std::vector<Key> keys) {
  return Json::parse(client_.ask(verb, std::move(words), std::move(keys), false));
}

void Cluster::cancel(std::vector<Key> keys, const std::string& reason) {
  client_.core()->post(client::CancelKeys{std::move(keys), true, reason});
  // An answered question behind it: the order has been carried out.
  ask("status");
}

Key Cluster::find_key(const std::string& text) {
  if (auto key = Key::from_hex(text)) return *key;
  bool digits = text.size() >= 4 && text.size() < 32 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!digits) throw InvalidArgument('"' + text + "\" is no key: write its 32 hexadecimal digits, or at least the first 4");
  std::vector<std::string> found;
  for (const Json& task : ask("tasks"))
    if (std::string key = task.at("key"); key.starts_with(text)) found.push_back(key);
  if (found.empty()) throw InvalidArgument("no task's key begins with " + text + "; `weft tasks` lists them");
  if (found.size() > 1) throw InvalidArgument(std::to_string(found.size()) + " tasks' keys begin with " + text + "; write more digits");
  return *Key::from_hex(found[0]);
}

}  // namespace weft::cli
