// Bags of text files: in by blocks, out whole.
#include <doctest/doctest.h>

#include <weft/bag.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include <stdlib.h>
#include <sys/stat.h>

#include "tests/support/client_fixture.h"

using namespace weft;
using test::Fixture;

namespace {

void words(std::string_view line, Emit<std::string_view> emit) {
  for (std::size_t at = 0; at < line.size();) {
    std::size_t end = std::min(line.find(' ', at), line.size());
    if (end != at) emit(line.substr(at, end - at));
    at = end + 1;
  }
}

/// A folder of its own, gone afterwards.
struct Folder {
  std::string path = [] {
    char name[] = "/tmp/weft_bag_test.XXXXXX";
    return std::string(mkdtemp(name));
  }();
  ~Folder() { std::filesystem::remove_all(path); }
  std::string write(const std::string& name, std::string_view text) const {
    std::ofstream(path + "/" + name, std::ios::binary) << text;
    return path + "/" + name;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

}  // namespace

TEST_CASE("lines are the same for every block size, whatever the text is like") {
  Fixture f;
  Folder folder;
  std::string long_line(700'000, 'x');
  std::vector<std::pair<std::string, std::vector<std::string>>> cases{
      {"", {}},
      {"\n", {""}},
      {"one", {"one"}},
      {"one\n", {"one"}},
      {"one\ntwo", {"one", "two"}},
      {"\n\n\nabc\n\n", {"", "", "", "abc", ""}},
      {"crlf\r\nnot\rcr\r\n\r\nlast\r", {"crlf", "not\rcr", "", "last\r"}},
      {"a much longer line than any block\nb\nc\nand one more of these lines\n",
       {"a much longer line than any block", "b", "c", "and one more of these lines"}},
      {std::string("zero\0byte\nx\n", 12), {std::string("zero\0byte", 9), "x"}}};
  for (auto& [text, lines] : cases) {
    std::string path = folder.write("text.txt", text);
    for (std::uint64_t blocksize : {1, 2, 3, 5, 7, 16, 1000}) {
      CAPTURE(text);
      CAPTURE(blocksize);
      CHECK(read_text(path, {blocksize}).compute(f.client) == lines);
    }
  }
  std::string path = folder.write("long.txt", "a\n" + long_line + "\nb\n" + long_line);
  for (std::uint64_t blocksize : {90'000, 300'000, 10'000'000})
    CHECK(read_text(path, {blocksize}).compute(f.client) == std::vector<std::string>{"a", long_line, "b", long_line});
}

TEST_CASE("files are found by pattern, in order, and small ones share a partition") {
  Fixture f;
  Folder folder;
  folder.write("b.txt", "2\n");
  folder.write("a.txt", "1");
  folder.write("empty.txt", "");
  folder.write("c.log", "3\n");
  folder.write("odd[1].dat", "4\n");
  std::filesystem::create_directory(folder.path + "/folder.txt");
  CHECK(read_text(folder.path + "/*.txt").compute(f.client) == std::vector<std::string>{"1", "2"});
  CHECK(read_text(folder.path + "/*.txt").partitions(f.client) == 1);
  CHECK(read_text(folder.path + "/*.{log,txt}", {1}).compute(f.client) == std::vector<std::string>{"1", "2", "3"});
  CHECK(read_text({folder.path + "/c.*", folder.path + "/a.*"}).compute(f.client) == std::vector<std::string>{"3", "1"});
  CHECK(read_text(folder.path + "/odd[1].dat").compute(f.client) == std::vector<std::string>{"4"});
  CHECK_THROWS_AS(read_text(folder.path + "/*.none").compute(f.client), Error);
  CHECK_THROWS_AS(read_text(folder.path + "/none.txt").compute(f.client), Error);
  CHECK_THROWS_WITH_AS(detail::cut_files({folder.path}, 100), doctest::Contains("is a folder"), IoError);
  CHECK_THROWS_WITH_AS(detail::cut_files({folder.path + "/fol*"}, 100), doctest::Contains("is a folder"), IoError);
}

TEST_CASE("a block size above every file's makes one partition, whatever its number") {
  Fixture f;
  Folder folder;
  folder.write("a.txt", "1\n2\n");
  folder.write("b.txt", "3");
  for (std::uint64_t blocksize : {std::uint64_t(1) << 62, UINT64_MAX - 3, UINT64_MAX}) {
    auto bag = read_text(folder.path + "/*.txt", {blocksize});
    CHECK(bag.compute(f.client) == std::vector<std::string>{"1", "2", "3"});
    CHECK(bag.partitions(f.client) == 1);
  }
}

TEST_CASE("a file of unknown size is one partition and read to its end each time") {
  Fixture f;
  Folder folder;
  std::vector<std::string> expected{"before"};
  std::ifstream kernel("/proc/cpuinfo");
  for (std::string line; std::getline(kernel, line);) expected.push_back(line);
  REQUIRE(expected.size() > 1);
  REQUIRE(std::filesystem::file_size("/proc/cpuinfo") == 0);
  std::string before = folder.write("before.txt", "before\n"), empty = folder.write("empty.txt", "");
  for (std::uint64_t blocksize : {std::uint64_t(10), std::uint64_t(16 << 20), UINT64_MAX})
    CHECK(read_text({before, "/proc/cpuinfo", empty}, {blocksize}).count().compute(f.client) == expected.size());
  CHECK(detail::cut_files({before, "/proc/cpuinfo", empty}, 1000).size() == 2);
  auto first = detail::cut_files({"/proc/cpuinfo"}, 1000), second = detail::cut_files({"/proc/cpuinfo"}, 1000);
  REQUIRE(first[0].size() == 1);
  CHECK(first[0][0].modified != second[0][0].modified);   // so nobody is given what another look saw
  CHECK(detail::cut_files({empty}, 1000)[0].empty());
}

TEST_CASE("what is no file is called by its name") {
  Folder folder;
  REQUIRE(mkfifo((folder.path + "/pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH_AS(detail::cut_files({folder.path + "/pipe"}, 100), doctest::Contains("is a pipe"), IoError);
  CHECK_THROWS_WITH_AS(detail::cut_files({"/dev/null"}, 100), doctest::Contains("is a device"), IoError);
  CHECK_THROWS_WITH_AS(detail::cut_files({"/dev/null"}, 100), doctest::Contains("copy what it says into one"), IoError);
  CHECK_THROWS_WITH_AS(read_text(""), doctest::Contains("a pattern of read_text is empty"), InvalidArgument);
  CHECK_THROWS_WITH_AS(read_text({folder.path + "/*", ""}), doctest::Contains("a pattern of read_text is empty"), InvalidArgument);
}

TEST_CASE("an edited file is read again, an unchanged one has the same keys") {
  Fixture f;
  Folder folder;
  std::string path = folder.write("x.txt", "old\n");
  auto bag = read_text(path);
  auto kept = bag.persist(f.client);
  CHECK(kept.count().compute(f.client) == 1);
  auto before = f.fake->tasks_run;
  CHECK(bag.compute(f.client) == std::vector<std::string>{"old"});
  CHECK(f.fake->tasks_run == before + 1);   // only looking for files
  std::filesystem::last_write_time(folder.write("x.txt", "new\n"), std::filesystem::file_time_type::clock::now() + std::chrono::seconds(5));
  CHECK(bag.compute(f.client) == std::vector<std::string>{"new"});
}

TEST_CASE("a file that changes between planning and reading is an error, not a mixture") {
  Folder folder;
  std::string path = folder.write("x.txt", "old\n");
  auto cut = detail::cut_files({path}, 100);
  folder.write("x.txt", "longer than before\n");
  CHECK_THROWS_AS(detail::LineReader{cut[0][0]}, IoError);
}

TEST_CASE("text files are written whole, also compressed, and read back") {
  Fixture f;
  Folder folder;
  auto lines = range(1000, 12).map([](std::int64_t x) { return "line " + std::to_string(x); });
  auto expected = lines.compute(f.client);
  for (std::string ending : {"txt", "txt.gz"}) {
    auto paths = lines.to_textfiles(f.client, folder.path + "/out/" + ending + "/part-*." + ending);
    CHECK(paths.size() == 12);
    CHECK(paths[3] == folder.path + "/out/" + ending + "/part-03." + ending);
    CHECK(read_text(folder.path + "/out/" + ending + "/*").compute(f.client) == expected);
    CHECK(read_text(folder.path + "/out/" + ending + "/*", {100}).count().compute(f.client) == 1000);
    std::filesystem::remove(paths[3]);
    lines.to_textfiles(f.client, folder.path + "/out/" + ending + "/part-*." + ending);   // not taken for done
    CHECK(std::filesystem::exists(paths[3]));
  }
  std::size_t files = 0;
  for (auto& entry : std::filesystem::recursive_directory_iterator(folder.path)) files += entry.is_regular_file();
  CHECK(files == 24);   // nothing unfinished is left
}

TEST_CASE("a compressed file that is cut off is an error") {
  Fixture f;
  Folder folder;
  auto text = range(20'000, 1).map([](std::int64_t x) { return std::to_string(x * 7919 % 10'007); });
  std::string path = text.to_textfiles(f.client, folder.path + "/all-*.gz")[0];
  std::string bytes = folder.read(path);
  folder.write("cut.gz", std::string_view(bytes).substr(0, bytes.size() / 2));
  CHECK_THROWS_AS(read_text(folder.path + "/cut.gz").count().compute(f.client), Error);
  folder.write("plain.gz", "not compressed\n");
  CHECK_THROWS_WITH_AS(detail::LineReader{detail::cut_files({folder.path + "/plain.gz"}, 100)[0][0]},
                       doctest::Contains("not compressed by gzip"), IoError);
  folder.write("double.gz", bytes + bytes);
  CHECK(read_text(folder.path + "/double.gz").count().compute(f.client) == 40'000);
}

TEST_CASE("writing that fails leaves nothing behind and names the file") {
  Fixture f;
  Folder folder;
  folder.write("file", "not a folder");
  CHECK_THROWS_AS(range(3, 1).map([](std::int64_t) { return std::string("x"); }).to_textfiles(f.client, folder.path + "/file/*.txt"), Error);
  { detail::LineWriter(folder.path + "/unfinished.txt").line("x"); }
  CHECK_FALSE(std::filesystem::exists(folder.path + "/unfinished.txt"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("counting words in files agrees with a plain loop for any block size") {
  Fixture f;
  Folder folder;
  std::mt19937 random(11);
  std::map<std::string, std::uint64_t> expected;
  for (std::string name : {"a.txt", "b.txt", "c.txt"}) {
    std::string text;
    for (int i = 0; i < 3000; ++i) {
      std::string word = "w" + std::to_string(random() % 300);
      ++expected[word];
      text += word + (random() % 7 == 0 ? "\n" : random() % 9 == 0 ? "  " : " ");
    }
    folder.write(name, text);
  }
  for (std::uint64_t blocksize : {50, 777, 100'000}) {
    auto counts = read_text(folder.path + "/*.txt", {blocksize}).flat_map(words).frequencies().compute(f.client);
    CHECK(std::map<std::string, std::uint64_t>(counts.begin(), counts.end()) == expected);
  }
}
