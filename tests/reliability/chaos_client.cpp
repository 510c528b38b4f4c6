#include "reliability/chaos_client.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>

#include <weft/weft.h>

#include "common/time.h"
#include "reliability/tasks.h"

namespace weft::reliability {

namespace fs = std::filesystem;

namespace {

// Longer than any fault of the plan lasts, plus the 60 s within which work must go on after it.
constexpr Duration patience = 120s;
constexpr std::uint32_t many_attempts = 1000;  // faults kill daemons under innocent tasks

struct Node {
  Future<Block> future;
  Block expected;
};

class Graph {
 public:
  Graph(Client& client, std::mt19937_64& random, const std::string& folder, int& traced) : client_(client) {
    const int layers = 3 + static_cast<int>(random() % 4), width = 2 + static_cast<int>(random() % 6);
    std::vector<Node> below;
    for (int layer = 0; layer < layers; ++layer) {
      std::vector<Node> nodes;
      for (int i = 0; i < width; ++i) nodes.push_back(node(client, random, below));
      for (Node& node : nodes) all_.push_back(node);
      below = std::move(nodes);
    }
    // Work that may happen at most once, and work that must happen.
    for (int i = 0; i < 4; ++i) {
      bool once = i % 2 == 0;
      Options options{.pure = false, .max_attempts = once ? 1 : many_attempts};
      effects_.push_back({client.submit(options, leave_trace, folder, traced, static_cast<int>(random() % 50'000)), traced, once});
      ++traced;
    }
  }

  /// What is wrong, in words.
  std::string check(const std::string& folder) {
    std::string wrong;
    for (Node& node : all_) {
      try {
        if (node.future.result(patience) != node.expected) wrong += "a result is not what was computed here; ";
      } catch (const Error& error) {
        wrong += told(error, node.future.key());
      }
    }
    for (Effect& effect : effects_) {
      bool done = false;
      try {
        done = effect.future.result(patience) == effect.number;
      } catch (const Error& error) {
        // Whoever may run once cannot be run again when its executor, its worker or its value is lost.
        bool explained = error.kind() == ErrorKind::worker_unavailable || error.kind() == ErrorKind::task_crashed ||
                         error.kind() == ErrorKind::task_poisoned || error.kind() == ErrorKind::data_lost;
        if (!effect.once || !explained) wrong += told(error, effect.future.key());
      }
      std::uint64_t runs = Traces(folder)[effect.number];
      if (effect.once && runs > 1) wrong += "a task that may run once ran " + std::to_string(runs) + " times; ";
      if (done && runs == 0) wrong += "a task is done that never ran; ";
    }
    return wrong;
  }
  /// With what the scheduler knows of a task that does not end.
  std::string told(const Error& error, const Key& key) {
    std::string text = std::string(name_of(error.kind())) + ": " + error.what() + "; ";
    if (error.kind() != ErrorKind::wait_timeout) return text;
    try {
      return text + client_.explain(key) + "; " + client_.ask("tasks", {}, {}, true).substr(0, 4000) + "; ";
    } catch (const Error& unknown) {
      return text + unknown.what() + "; ";
    }
  }
  std::size_t size() const { return all_.size() + effects_.size(); }

 private:
  struct Effect {
    Future<int> future;
    int number;
    bool once;
  };
  static Node node(Client& client, std::mt19937_64& random, const std::vector<Node>& below) {
    std::vector<Future<Block>> inputs;
    std::vector<Block> values;
    for (std::size_t k = below.empty() ? 0 : 1 + random() % 3; k-- > 0;) {
      const Node& input = below[random() % below.size()];
      inputs.push_back(input.future);
      values.push_back(input.expected);
    }
    std::uint64_t number = random();
    // From results that ride on messages to those that are fetched and spilled.
    constexpr std::uint32_t sizes[] = {4, 100, 2'000, 40'000, 250'000};
    std::uint32_t size = sizes[random() % 5], microseconds = static_cast<std::uint32_t>(random() % 20'000);
    Options options{.max_attempts = many_attempts};
    return {client.submit(options, grow, number, inputs, size, microseconds), grow(number, values, size, 0)};
  }
  Client& client_;
  std::vector<Node> all_;
  std::vector<Effect> effects_;
};

}  // namespace

int chaos_client(const std::vector<std::string>& words) {
  const std::string& address = words.at(0);
  const std::string& folder = words.at(2);
  std::mt19937_64 random(std::stoull(words.at(1)));
  std::string own = folder + "/client-" + words.at(1), effects = own + ".effects";
  fs::create_directory(effects);
  std::ofstream log(own);
  bool good = true;
  int traced = 0;
  {
    Client client(address, {.connect_timeout = patience, .patience = patience});
    do {
      Graph graph(client, random, effects, traced);
      std::string wrong = graph.check(effects);
      log << "tasks " << graph.size() << ' ' << (wrong.empty() ? "right" : "WRONG " + wrong) << std::endl;
      good &= wrong.empty();
    } while (!fs::exists(folder + "/stop"));
  }
  return good ? 0 : 1;
}

}  // namespace weft::reliability
