#include "common/options.h"

#include <doctest/doctest.h>

#include "common/exit_codes.h"

using namespace weft;

namespace {

enum class Colour { red, green };

// A program with one option of every type.
struct Program {
  std::string name = "w1";
  bool nanny = true;
  int threads = 2;
  std::uint16_t port = 0;
  double spill_at = 0.7;
  Duration timeout = 15s;
  ByteCount buffer{4096};
  MemoryAmount memory;
  TextList preload;
  Amounts resources;
  Colour colour = Colour::red;
  TextList rest;
  ProgramOptions options{"weft-test", "worker", "Test."};

  Program() {
    options.add("name", name, "what it is called");
    options.add("nanny", nanny, "watch it");
    options.add("threads", threads, "how many");
    options.add("port", port, "where");
    options.add("spill-at", spill_at, "when");
    options.add("worker-timeout", timeout, "how long a silent worker is believed alive");
    options.add("buffer", buffer, "how much");
    options.add("memory-limit", memory, "most memory for values");
    options.add("preload", preload, "what first");
    options.add("resources", resources, "what it has");
    options.add_choice<Colour>("colour", colour, {{"red", Colour::red}, {"green", Colour::green}}, "which");
    options.positional("FILE", rest, 0, 2, "what to read");
  }
  auto arguments(std::vector<std::string> list) { return options.read_arguments(list); }
  auto environment(std::map<std::string, std::string> set) {
    return options.read_environment([&](const std::string& name) {
      auto it = set.find(name);
      return it == set.end() ? std::nullopt : std::optional(it->second);
    });
  }
  Origin origin(std::string_view name) {
    for (const OptionRow& row : options.rows())
      if (row.name == name) return row.origin;
    return {OriginKind::by_default, "no such option"};
  }
};

template <class R>
std::string message(const R& result) {
  return result ? "" : result.error().message;
}
template <class T>
std::string refused(std::string_view text) {
  T value{};
  return message(read_option(text, value));
}
template <class T>
T read(std::string_view text) {
  T value{};
  auto done = read_option(text, value);
  INFO(std::string(text), " ", message(done));
  REQUIRE(static_cast<bool>(done));
  return value;
}

}  // namespace

TEST_CASE("durations are read with their unit and shown shortest") {
  CHECK(read<Duration>("10s") == 10s);
  CHECK(read<Duration>("100ms") == 100ms);
  CHECK(read<Duration>("1.5 h") == 90min);
  CHECK(read<Duration>("0") == 0s);
  CHECK(show_option(Duration(90s)) == "90s");
  CHECK(show_option(Duration(120s)) == "2min");
  CHECK(refused<Duration>("3 parsecs") == "\"3 parsecs\" is no duration: write 100ms, 10s or 1.5h");
  for (const char* text : {"", "10", "s", "-1s", "1e300h", "nan s", "inf", "1s2"}) {
    CAPTURE(text);
    CHECK(refused<Duration>(text) != "");
  }
}

TEST_CASE("bytes know decimal and binary units") {
  CHECK(read<ByteCount>("4GiB").bytes == 4ull << 30);
  CHECK(read<ByteCount>("500 MB").bytes == 500'000'000);
  CHECK(read<ByteCount>("64k").bytes == 65536);
  CHECK(read<ByteCount>("7").bytes == 7);
  CHECK(show_option(ByteCount{3u << 20}) == "3MiB");
  for (const char* text : {"", "-1", "4XiB", "GiB", "1e30", "auto"}) {
    CAPTURE(text);
    CHECK(refused<ByteCount>(text) != "");
  }
}

TEST_CASE("memory is automatic, a fraction or bytes") {
  CHECK(read<MemoryAmount>("auto").resolve(1000, 0.5) == 500);
  CHECK(read<MemoryAmount>("0.6").resolve(1000) == 600);
  CHECK(read<MemoryAmount>("60%").resolve(1000) == 600);
  CHECK(read<MemoryAmount>("1.5KiB").resolve(1000) == 1536);
  CHECK(read<MemoryAmount>("0").resolve(1000) == 0);
  CHECK(refused<MemoryAmount>("1.6") != "");
  CHECK(refused<MemoryAmount>("0%") != "");
}

TEST_CASE("numbers stay in the range of their type") {
  CHECK(read<int>("1_000") == 1000);
  CHECK(read<std::uint16_t>("65535") == 65535);
  CHECK(refused<std::uint16_t>("65536") == "\"65536\" is outside 0 to 65535");
  CHECK(refused<std::uint64_t>("-1") != "");
  CHECK(refused<int>("99999999999999999999") != "");
  CHECK(refused<int>("3x") != "");
  CHECK(read<double>("-2.5") == -2.5);
}

TEST_CASE("lists are separated by commas, with quotes where items need them") {
  CHECK(read<TextList>("a, b") == TextList{"a", "b"});
  CHECK(read<TextList>(R"(["a", "b,c", "d\"e"])") == TextList{"a", "b,c", "d\"e"});
  CHECK(read<TextList>("").empty());
  CHECK(refused<TextList>("\"a") != "");
  CHECK(refused<TextList>("\"a\" b") != "");
  CHECK(read<Amounts>("GPU=2, ram=1.5") == Amounts{{"GPU", 2}, {"ram", 1.5}});
  CHECK(read<Amounts>("GPU=2 MEM=10e9") == Amounts{{"GPU", 2}, {"MEM", 10e9}});
  CHECK(read<Amounts>("GPU = 2,  ram =1") == Amounts{{"GPU", 2}, {"ram", 1}});
  for (const char* text : {"GPU", "=2", "GPU=x", "GPU=-1", "GPU=1,GPU=2"}) {
    CAPTURE(text);
    CHECK(refused<Amounts>(text) != "");
  }
}

TEST_CASE("every value that is shown reads back as itself") {
  for (Duration d : {Duration(0s), Duration(1ns), Duration(1500ms), Duration(36h)})
    CHECK(read<Duration>(show_option(d)) == d);
  for (std::uint64_t n : {0ull, 1ull, 1000ull, 1ull << 40}) CHECK(read<ByteCount>(show_option(ByteCount{n})).bytes == n);
  for (const char* text : {"auto", "60%", "4GiB", "0"})
    CHECK(read<MemoryAmount>(show_option(read<MemoryAmount>(text))) == read<MemoryAmount>(text));
  for (const TextList& list : {TextList{}, TextList{"a", ""}, TextList{" b", "c,d", "e\"f\\", "[g"}})
    CHECK(read<TextList>(show_option(list)) == list);
  CHECK(read<double>(show_option(0.1)) == 0.1);
}

TEST_CASE("flags set options of every type") {
  Program p;
  auto next =
      p.arguments({"--name", "w 2", "--no-nanny", "--threads=8", "--worker-timeout", "3s", "--memory-limit=0.5", "--preload",
                   "a", "--preload", "b,c", "--resources", "GPU=1", "--colour", "green", "f1", "--", "--f2"});
  REQUIRE(next);
  CHECK(*next == ProgramOptions::Next::run);
  CHECK(p.name == "w 2");
  CHECK_FALSE(p.nanny);
  CHECK(p.threads == 8);
  CHECK(p.timeout == 3s);
  CHECK(p.memory.resolve(10) == 5);
  CHECK(p.preload == TextList{"a", "b", "c"});
  CHECK(p.resources == Amounts{{"GPU", 1}});
  CHECK(p.colour == Colour::green);
  CHECK(p.rest == TextList{"f1", "--f2"});
}

TEST_CASE("a switch takes a word that is meant for it, and no other") {
  Program p;
  REQUIRE(p.arguments({"--nanny", "off", "file"}));
  CHECK_FALSE(p.nanny);
  CHECK(p.rest == TextList{"file"});
  REQUIRE(p.arguments({"--nanny", "file"}));
  CHECK(p.nanny);
  CHECK(p.rest == TextList{"file"});
}

TEST_CASE("the strongest origin wins, whatever is read first") {
  for (bool flags_first : {true, false}) {
    Program p;
    if (flags_first) REQUIRE(p.arguments({"--name", "flag"}));
    REQUIRE(p.environment({{"WEFT_NAME", "variable"}, {"WEFT_THREADS", "5"}}));
    REQUIRE(p.options.read_file("[worker]\nname = file\nthreads = 6\nport = 7\n", "x.conf"));
    if (!flags_first) REQUIRE(p.arguments({"--name", "flag"}));
    CHECK(p.name == "flag");
    CHECK(p.threads == 5);
    CHECK(p.port == 7);
    CHECK(p.spill_at == 0.7);
    CHECK(p.origin("name").where == "--name");
    CHECK(p.origin("threads").where == "WEFT_THREADS");
    CHECK(p.origin("port").where == "x.conf:4");
    CHECK(p.origin("spill-at").kind == OriginKind::by_default);
  }
}

TEST_CASE("a variable of the section is stronger than one for all programs") {
  Program p;
  REQUIRE(p.environment({{"WEFT_PORT", "1"}, {"WEFT_WORKER__PORT", "2"}, {"WEFT_SCHEDULER__PORT", "3"}}));
  CHECK(p.port == 2);
}

TEST_CASE("a later file wins over an earlier one") {
  Program p;
  REQUIRE(p.options.read_file("threads = 3", "a"));
  REQUIRE(p.options.read_file("threads = 4", "b"));
  CHECK(p.threads == 4);
}

TEST_CASE("a configuration file has comments, sections, quotes and lists") {
  Program p;
  REQUIRE(
      p.options.read_file("# all programs\n"
                          "name = \"a # \\\"b\\\"\"  # said so\r\n"
                          "\n"
                          "[scheduler]\n"
                          "store = /var/lib/weft\n"
                          "[worker]\n"
                          "worker_timeout = 20s\n"
                          "preload = [\"x y\", z]\n",
                          "weft.conf"));
  CHECK(p.name == "a # \"b\"");
  CHECK(p.timeout == 20s);
  CHECK(p.preload == TextList{"x y", "z"});
}

TEST_CASE("a mistake names its place and the nearest name") {
  Program p;
  CHECK(message(p.arguments({"--worker-timout", "3s"})) == "unknown option --worker-timout: did you mean --worker-timeout?");
  CHECK(message(p.arguments({"--thraeds=3"})) == "unknown option --thraeds: did you mean --threads?");
  CHECK(message(p.arguments({"--quite-another-thing"})) == "unknown option --quite-another-thing");
  CHECK(message(p.arguments({"--threads"})) == "--threads needs a value: NUMBER");
  CHECK(message(p.arguments({"--threads", "many"})) == "--threads: \"many\" is no whole number");
  CHECK(message(p.arguments({"--colour", "blue"})) == "--colour: \"blue\" is none of red|green");
  CHECK(message(p.arguments({"--no-threads"})) != "");
  CHECK(message(p.arguments({"-t"})) != "");
  CHECK(message(p.arguments({"a", "b", "c"})) == "unexpected argument \"c\" behind FILE");
  CHECK(message(p.environment({{"WEFT_PORT", "tcp://10.0.0.1:80"}})) ==
        "WEFT_PORT: \"tcp://10.0.0.1:80\" is no whole number");
  CHECK(message(p.options.read_file("\nprot = 1", "w.conf")) == "w.conf:2: unknown key prot: did you mean port?");
  CHECK(message(p.options.read_file("[wroker]", "w.conf")) == "w.conf:1: unknown section [wroker]: did you mean [worker]?");
  CHECK(message(p.options.read_file("port", "w.conf")) == "w.conf:1: write `key = value` or `[section]`");
  CHECK(message(p.options.read_file("name = \"x", "w.conf")) == "w.conf:1: a quote is not closed, or text follows it");
  CHECK(p.threads == 2);
  CHECK(p.port == 0);
}

TEST_CASE("help and version win over what follows them, and help shows every option with its default") {
  Program p;
  CHECK(*p.arguments({"--help", "--nonsense"}) == ProgramOptions::Next::help);
  CHECK(*p.arguments({"--version"}) == ProgramOptions::Next::version);
  std::string help = p.options.help();
  for (const OptionRow& row : p.options.rows()) CHECK(help.find("--" + row.name) != std::string::npos);
  CHECK(help.find("how long a silent worker is believed alive [15s]") != std::string::npos);
  CHECK(help.find("WEFT_WORKER__NAME") != std::string::npos);
}

TEST_CASE("a program ends with the code for what was wrong") {
  Program p;
  CHECK(p.options.start(std::vector<std::string>{"--nonsense"}) == exit_code::usage);
  CHECK(p.options.start(std::vector<std::string>{"--config", "/no/such/file"}) == exit_code::configuration);
  CHECK(p.options.start(std::vector<std::string>{"--config", "/"}) == exit_code::configuration);
}

TEST_CASE("a variable of the own section that names no option is refused, others are not ours") {
  Program p;
  CHECK(p.options.check_variables(std::vector<std::string>{"WEFT_WORKER__SPILL_AT", "WEFT_SERVICE_HOST", "WEFT_SCHEDULER__SPIL_AT"}));
  CHECK(message(p.options.check_variables(std::vector<std::string>{"WEFT_WORKER__SPIL_AT"})) ==
        "unknown variable WEFT_WORKER__SPIL_AT: did you mean WEFT_WORKER__SPILL_AT?");
}

TEST_CASE("a share lies between 0 and 1") {
  CHECK(read<Share>("0.7").share == 0.7);
  CHECK(read<Share>("70%").share == 0.7);
  for (const char* text : {"2", "-0.1", "101%", "1 GiB", ""}) {
    Share share;
    CHECK_MESSAGE(message(read_option(text, share)).find("write 0.7 or 70%") != std::string::npos, text);
  }
}
