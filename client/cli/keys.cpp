// weft keys: the key folder of a scheduler.
#include "client/cli/cli.h"
#include "common/credentials.h"
#include "common/exit_codes.h"

namespace weft::cli {

namespace {

std::string day_of(const AuthorizedKey& key) { return key.not_after ? show_day(*key.not_after) : ""; }

Json describe(const AuthorizedKey& key) { return {{"role", key.role}, {"name", key.name}, {"public_key", key.public_key}, {"not_after", day_of(key)}}; }

int init(const VerbOptions& options, const KeyFolder& folder) {
  folder.init().value_or_throw();
  if (options.json()) return print_json("keys", {{"folder", folder.path()}}), exit_code::ok;
  print("made " + folder.path() + "\n  scheduler.key, scheduler.pub, client.key, worker.key, authorized_keys\n"
        "Clients of other machines need client.key and scheduler.pub, workers worker.key and scheduler.pub, each in\n"
        "~/.config/weft/keys or the folder that $WEFT_KEYS names.\n");
  return exit_code::ok;
}

int list(const VerbOptions& options, const KeyFolder& folder) {
  AuthorizedKeys keys = folder.authorized().value_or_throw();
  Json data = Json::array();
  Table table({"ROLE", "NAME", "PUBLIC KEY", "NOT AFTER"});
  for (const AuthorizedKey& key : keys.all()) {
    data.push_back(describe(key));
    table.row({key.role, key.name, key.public_key, day_of(key)});
  }
  if (options.json()) print_json("keys", data);
  else table.print();
  return exit_code::ok;
}

int add(const VerbOptions& options, const KeyFolder& folder, const TextList& words, const std::string& not_after) {
  if (words.size() < 3) throw InvalidArgument("write: weft keys add client|worker NAME [PUBLIC-KEY]");
  AuthorizedKey key = folder.add(words[1], words[2], words.size() > 3 ? words[3] : "", not_after).value_or_throw();
  if (options.json()) return print_json("keys", describe(key)), exit_code::ok;
  print("added " + key.role + ' ' + key.name + ' ' + key.public_key + '\n');
  if (words.size() == 3)
    print("Its owner needs " + folder.path() + '/' + key.name + ".key under the name " + key.role + ".key, and scheduler.pub.\n");
  print("A running scheduler lets it in after SIGHUP.\n");
  return exit_code::ok;
}

int revoke(const VerbOptions& options, const KeyFolder& folder, const TextList& words) {
  if (words.size() != 2) throw InvalidArgument("write: weft keys revoke NAME, or the public key");
  std::size_t count = folder.revoke(words[1]).value_or_throw();
  if (count == 0) throw InvalidArgument("nobody is called " + words[1] + " in " + folder.authorized_path());
  if (options.json()) return print_json("keys", {{"revoked", count}}), exit_code::ok;
  print("revoked; a running scheduler cuts its connections, and lets in no new ones, after SIGHUP\n");
  return exit_code::ok;
}

}  // namespace

int run_keys(Arguments arguments) {
  VerbOptions options("keys", "Make, list, add and revoke keys.");
  TextList words;
  std::string path, not_after;
  options.add().positional("init|list|add|revoke", words, 1, 4, "add ROLE NAME [PUBLIC-KEY], revoke NAME");
  options.add().add("not-after", not_after, "with add: the last day on which the key is let in, as 2027-01-31; empty: no end");
  options.add().add("keys", path, "the folder; empty: ~/.config/weft/keys");
  if (auto code = options.start(arguments)) return *code;
  KeyFolder folder(path.empty() ? default_key_folder() : path);
  if (folder.path().empty()) throw InvalidArgument("no folder for keys: name one with --keys");
  if ((words[0] == "init" || words[0] == "list") && words.size() > 1) throw InvalidArgument("unexpected word " + words[1] + " after " + words[0]);
  if (words[0] == "init") return init(options, folder);
  if (words[0] == "list") return list(options, folder);
  if (words[0] == "add") return add(options, folder, words, not_after);
  if (words[0] == "revoke") return revoke(options, folder, words);
  std::string near = nearest_name(words[0], {"init", "list", "add", "revoke"});
  throw InvalidArgument("unknown word " + words[0] + (near.empty() ? ": write init, list, add or revoke" : ": did you mean " + near + '?'));
}

}  // namespace weft::cli
