// Word count, the classic: how often does each word occur in a folder of text files?
//
//   wordcount --corpus DIR [--workers N] [--counts FILE] [--blocksize BYTES]
//
// Words are runs of letters, digits and underscores. With --workers it starts a cluster of processes on this machine; without, it
// uses the cluster at WEFT_ADDRESS, or one inside this process.
#include <weft/bag.h>
#include <weft/weft.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>

namespace {

using Count = std::pair<std::string, std::uint64_t>;

constexpr auto is_word_byte = [] {
  std::array<bool, 256> table{};
  for (unsigned char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")) table[c] = true;
  return table;
}();

constexpr auto words = [](std::string_view line, weft::Emit<std::string_view> emit) {
  auto is_word = [](char c) { return is_word_byte[static_cast<unsigned char>(c)]; };
  const char* at = line.data();
  const char* end = at + line.size();
  for (;;) {
    while (at != end && !is_word(*at)) ++at;
    if (at == end) return;
    const char* begin = at;
    while (at != end && is_word(*at)) ++at;
    emit(std::string_view(begin, at - begin));
  }
};

struct Arguments {
  std::string corpus, counts;
  unsigned workers = 0;
  weft::TextOptions text;
};

constexpr const char* usage_text = "usage: wordcount --corpus DIR [--workers N] [--counts FILE] [--blocksize BYTES]\n";

[[noreturn]] void usage(const std::string& problem) {
  std::cerr << "wordcount: " << problem << "\n" << usage_text;
  std::exit(64);
}

std::uint64_t number(const std::string& name, const std::string& text) {
  if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos || std::stoull(text) == 0)
    usage(name + " needs a positive number, not '" + text + "'");
  return std::stoull(text);
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; i += 2) {
    std::string name = argv[i];
    if (name == "--help") std::cout << usage_text, std::exit(0);
    if (i + 1 == argc) usage(name + " needs a value");
    std::string value = argv[i + 1];
    if (name == "--corpus") arguments.corpus = value;
    else if (name == "--counts") arguments.counts = value;
    else if (name == "--workers") arguments.workers = static_cast<unsigned>(std::min<std::uint64_t>(1024, number(name, value)));
    else if (name == "--blocksize") arguments.text.blocksize = number(name, value);
    else usage("there is no option " + name);
  }
  if (arguments.corpus.empty()) usage("--corpus is missing");
  if (!std::filesystem::is_directory(arguments.corpus)) usage("'" + arguments.corpus + "' is not a folder");
  return arguments;
}

double megabytes_in(const std::string& folder) {
  double bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder))
    if (file.is_regular_file() && file.path().extension() == ".txt") bytes += static_cast<double>(file.file_size());
  return bytes / 1e6;
}

void write_counts(std::vector<Count> counts, const std::string& path) {
  std::sort(counts.begin(), counts.end());
  std::ofstream file(path);
  for (const auto& [word, count] : counts) file << count << ' ' << word << '\n';
  if (!file.flush()) throw std::runtime_error("cannot write '" + path + "'");
}

int count_words(const Arguments& arguments) {
  std::optional<weft::LocalCluster> cluster;
  if (arguments.workers != 0) cluster.emplace(weft::LocalClusterOptions{.workers = arguments.workers});
  weft::Client client = cluster ? weft::Client(*cluster) : weft::Client();

  auto start = std::chrono::steady_clock::now();
  auto counted = weft::read_text(arguments.corpus + "/*.txt", arguments.text).flat_map(words).frequencies().persist(client);
  client.progress();
  auto [total, distinct, top] = weft::compute(
      client, counted.map([](const Count& count) { return count.second; }).sum(), counted.count(),
      counted.topk(10, [](const Count& count) { return count.second; }));
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (!arguments.counts.empty()) write_counts(counted.compute(client), arguments.counts);

  std::printf("%llu words, %llu distinct\n", static_cast<unsigned long long>(total), static_cast<unsigned long long>(distinct));
  for (const auto& [word, count] : top) std::printf("%12llu  %s\n", static_cast<unsigned long long>(count), word.c_str());
  double megabytes = megabytes_in(arguments.corpus);
  std::printf("%.1f MB in %.2f s: %.0f MB/s\n", megabytes, seconds.count(), megabytes / seconds.count());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  weft::init(argc, argv);
  Arguments arguments = parse(argc, argv);
  try {
    return count_words(arguments);
  } catch (const std::exception& error) {
    std::cerr << "wordcount: " << error.what() << "\n";
    return 1;
  }
}
