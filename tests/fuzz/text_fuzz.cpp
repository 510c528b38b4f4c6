// Text that people and files give us: options (file, environment, flags), the scheduler file, key files, allow-lists, Z85, tokens,
// addresses. Wrong text is a sentence; right text is shown as it was read.
#include <limits>

#include "common/address.h"
#include "common/credentials.h"
#include "common/options.h"
#include "common/scheduler_file.h"
#include "common/token.h"
#include "scratch_folder.h"

namespace {

using namespace weft;
using namespace weft::fuzz;

/// One option of every type.
struct Settings {
  bool flag = false;
  std::string text = "t";
  double number = 1;
  std::uint16_t port = 1;
  std::int64_t whole = 0;
  Duration time = 1s;
  ByteCount bytes;
  MemoryAmount memory;
  TextList list, rest;
  Amounts amounts;
  int choice = 0;
  void declare(ProgramOptions& options) {
    options.add("flag", flag, "h");
    options.add("text", text, "h");
    options.add("number", number, "h");
    options.add("port", port, "h");
    options.add("whole", whole, "h");
    options.add("time", time, "h");
    options.add("bytes", bytes, "h");
    options.add("memory", memory, "h");
    options.add("list", list, "h");
    options.add("amounts", amounts, "h");
    options.add_choice("choice", choice, {{"one", 0}, {"two", 1}}, "h");
    options.positional("REST", rest, 0, 3, "h");
  }
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines(1);
  for (char c : text)
    if (c == '\n') lines.emplace_back();
    else lines.back() += c;
  return lines;
}

template <class T>
void read_and_show(std::string_view text) {
  T value{}, again{};
  if (!read_option(text, value)) return;
  promise(bool(read_option(show_option(value), again)), "what is shown can be read");
  promise(show_option(again) == show_option(value), "and is shown the same again");
}

void options(int how, const std::string& text) {
  Settings settings;
  ProgramOptions options("weft-fuzz", "worker", "Read nonsense.");
  settings.declare(options);
  auto lines = lines_of(text);
  if (how == 0) static_cast<void>(options.read_file(text, "file"));
  else if (how == 1) static_cast<void>(options.read_arguments(lines));
  else static_cast<void>(options.read_environment([&](const std::string& name) -> std::optional<std::string> {
    for (const std::string& line : lines)
      if (line.starts_with(name + '=')) return line.substr(name.size() + 1);
    return std::nullopt;
  }));
  options.rows();
  options.help();
}

void values(const std::string& text) {
  read_and_show<bool>(text);
  read_and_show<double>(text);
  read_and_show<std::uint16_t>(text);
  read_and_show<std::int64_t>(text);
  read_and_show<Duration>(text);
  read_and_show<ByteCount>(text);
  read_and_show<MemoryAmount>(text);
  read_and_show<Amounts>(text);
}

void keys(const std::string& text) {
  constexpr auto long_ago = std::numeric_limits<std::int64_t>::min();  // before any key ends
  static_cast<void>(is_key_text(text));
  auto list = AuthorizedKeys::parse(text, "list");
  if (!list) return;
  for (const AuthorizedKey& key : list->all()) {
    promise(is_key_text(key.public_key), "who is let in has a key");
    promise(list->allows(key.role, key.public_key, long_ago), "and is let in");
    promise(!list->allows(key.role + 'x', key.public_key, long_ago), "but in no other role");
  }
}

void files(Input input) {
  static ScratchFolder folder;
  std::string path = folder.write("file", input);
  if (auto file = read_scheduler_file(path)) {
    std::string copy = folder.path() + "/copy";
    promise(bool(write_scheduler_file(copy, *file)), "it can be written");
    auto again = read_scheduler_file(copy);
    promise(static_cast<bool>(again), "and read again");
  }
  if (auto pair = read_key_file(path)) promise(is_key_text(pair->public_key) && is_key_text(pair->secret_key.z85()), "a key file holds keys");
}

void tokens(Input input) {
  Source source(input);
  Bytes secret(token_secret_size, std::byte{3});
  TokenGate gate(secret, 4);
  while (!source.empty()) {
    Key key = source.key();
    Token token = source.one_in(2) ? make_token(secret, key, source.number()) : source.make<Token>();
    bool ours = token.seal == make_token(secret, key, token.nonce).seal;
    if (!gate.accepts(key, token)) continue;
    promise(ours, "nobody else makes our tokens");
    gate.use_up(token);
    promise(!gate.accepts(key, token), "a token serves once");
    promise(gate.remembered() <= 4, "what is remembered is bounded");
  }
}

void run(Input input) {
  if (input.empty()) return;
  Input rest = input.subspan(1);
  std::string text = text_of(rest);
  switch (int which = std::to_integer<int>(input[0]) % 7) {
    case 0: case 1: case 2: return options(which, text);
    case 3: return values(text);
    case 4: return keys(text);
    case 5: return files(rest);
    default: return tokens(rest);
  }
}

Seeds seeds() {
  auto seed = [](int which, std::string_view text) {
    Bytes bytes{std::byte(which)};
    Bytes rest = bytes_of(text);
    bytes.insert(bytes.end(), rest.begin(), rest.end());
    return bytes;
  };
  // The pair of RFC 26, known to everybody.
  std::string open = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", secret = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";
  return {{"options-file", seed(0, "text = a\n# comment\n[worker]\nport = 80\ntime = 1.5h\nmemory = 60%\nlist = a, b\namounts = GPU=2\n[scheduler]\nx = 1\n")},
          {"options-flags", seed(1, "--port\n80\n--flag\n--bytes=4GiB\n--choice\ntwo\n--\n-x")},
          {"options-environment", seed(2, "WEFT_PORT=80\nWEFT_WORKER__TIME=100ms\nWEFT_LIST=a,b\nWEFT_FLAG=yes")},
          {"value-duration", seed(3, "1.5h")}, {"value-bytes", seed(3, "500 MB")}, {"value-amounts", seed(3, "GPU=2, ram=1.5")}, {"value-number", seed(3, "-12e3")},
          {"authorized-keys", seed(4, "# who\nclient alice " + open + "\nworker w " + open + "\n")}, {"z85", seed(4, open)},
          {"scheduler-file", seed(5, R"({"format":1,"version":"0.1","client_address":"tcp://h:1","worker_address":"tcp://h:2","public_key":"","keys":"/k","host":"h","pid":3,"epoch":2,"dashboard":""})")},
          {"key-file", seed(5, "# Weft key pair. Keep this file secret.\npublic " + open + "\nsecret " + secret + "\n")},
          {"tokens", seed(6, std::string("\0\1\0\1\0\1\0\2\0\1\0\3\0\1\0\5", 16))}};
}

}  // namespace

WEFT_FUZZ_TARGET("text", run, seeds, 3);
