// From recorded calls to an ordered graph, or to a drawing of it.
#include <weft/delayed.h>

#include <spawn.h>
#include <sys/wait.h>

#include <fstream>
#include <unordered_map>

#include "client/client_core.h"
#include "client/order.h"
#include "client/template.h"

extern char** environ;

namespace weft::detail {

DelayedNode::~DelayedNode() {
  // Nodes that die because this one dies wait in a list of the outermost destructor instead of nesting.
  static thread_local std::vector<std::shared_ptr<void>>* dying = nullptr;
  std::vector<std::shared_ptr<void>> mine;
  for (InputRef& input : call.inputs) (dying ? *dying : mine).push_back(std::move(input.hold));
  if (dying) return;
  dying = &mine;
  while (!mine.empty()) {
    std::shared_ptr<void> next = std::move(mine.back());
    mine.pop_back();
    next.reset();
  }
  dying = nullptr;
}

DelayedPointer record(PreparedCall call, const Options& options) {
  auto node = std::make_shared<DelayedNode>();
  node->content = call.key;
  if (options.key) call.key = Key::named(*options.key);
  else if (!options.pure) call.key = Key::random();
  else call.key = key_with(options, call.key);
  node->call = std::move(call);
  node->options = options;
  return node;
}

namespace {

struct Graph {
  std::vector<const DelayedNode*> nodes;
  std::unordered_map<Key, std::uint32_t> number;
  std::vector<std::uint32_t> ends, inputs;  // edges among the nodes

  explicit Graph(const std::vector<DelayedPointer>& roots) {
    auto add = [&](const DelayedNode* node) {
      auto [known, is_new] = number.try_emplace(node->call.key, nodes.size());
      if (is_new) nodes.push_back(node);
      else if (nodes[known->second]->content != node->content)
        throw InvalidArgument("two different delayed calls were given the same key; choose another key for one of them");
    };
    for (const DelayedPointer& root : roots) add(root.get());
    for (std::size_t at = 0; at < nodes.size(); ++at)
      for (const InputRef& input : nodes[at]->call.inputs)
        if (auto* hold = static_cast<const Hold*>(input.hold.get()); hold && hold->node) add(hold->node.get());
    for (const DelayedNode* node : nodes) {
      for (const InputRef& input : node->call.inputs)
        if (auto known = number.find(input.key); known != number.end()) inputs.push_back(known->second);
      ends.push_back(inputs.size());
    }
  }
};

}  // namespace

std::vector<FutureHandle> submit_graph(const ClientPointer& client, const std::vector<DelayedPointer>& roots) {
  client->check_process();
  Graph graph(roots);
  std::vector<std::uint32_t> order = client::order_tasks(graph.ends, graph.inputs);
  if (order.size() != graph.nodes.size())
    throw InvalidArgument("the keys given to these delayed calls make a task depend on itself");
  std::vector<bool> wanted(graph.nodes.size(), false);
  for (const DelayedPointer& root : roots) wanted[graph.number.at(root->call.key)] = true;
  client::GraphBuilder builder;
  std::vector<FutureHandle> holds;
  std::vector<std::uint32_t> place(graph.nodes.size(), 0);  // of a wanted node among the futures
  std::uint32_t futures = 0;
  std::vector<std::pair<Key, Key>> names;
  for (std::uint32_t number : order) {
    const DelayedNode& node = *graph.nodes[number];
    std::vector<client::TaskInput> inputs;
    append_inputs(client, inputs, node.call.inputs);
    for (FutureHandle& hold : place_big(client, node.call)) holds.push_back(std::move(hold));
    builder.add(builder.add_template(template_of(node.call, node.options, {})), node.call.key, node.call.bytes, inputs,
                wanted[number]);
    if (wanted[number] && node.call.key.is_named()) names.emplace_back(node.call.key, node.content);
    if (wanted[number]) place[number] = futures++;
  }
  auto handles = client->submit(builder.take(), std::move(holds), names);
  std::vector<FutureHandle> answer;
  for (const DelayedPointer& root : roots) answer.push_back(handles[place[graph.number.at(root->call.key)]]);
  return answer;
}

std::string dot_of(const std::vector<DelayedPointer>& roots) {
  Graph graph(roots);
  std::string dot = "digraph weft {\n  node [shape=box];\n";
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    std::string label(graph.nodes[i]->options.label.empty() ? graph.nodes[i]->call.label : graph.nodes[i]->options.label);
    for (std::size_t at = 0; (at = label.find_first_of("\"\\", at)) != std::string::npos; at += 2) label.insert(at, 1, '\\');
    dot += "  t" + std::to_string(i) + " [label=\"" + label + "\"];\n";
    for (std::uint32_t from = i ? graph.ends[i - 1] : 0; from < graph.ends[i]; ++from)
      dot += "  t" + std::to_string(graph.inputs[from]) + " -> t" + std::to_string(i) + ";\n";
  }
  return dot + "}\n";
}

void write_graph(const std::string& path, const std::string& dot) {
  std::size_t point = path.rfind('.');
  std::string form = point == std::string::npos ? "dot" : path.substr(point + 1);
  bool picture = form == "svg" || form == "png" || form == "pdf";
  std::string text = picture ? path + ".dot" : path;
  std::ofstream file(text);
  if (!(file << dot << std::flush)) throw IoError("cannot write the graph to '" + text + "'");
  if (!picture) return;
  std::string format = "-T" + form;
  const char* words[] = {"dot", format.c_str(), "-o", path.c_str(), text.c_str(), nullptr};
  pid_t child = 0;
  int status = 1;
  if (posix_spawnp(&child, "dot", nullptr, nullptr, const_cast<char**>(words), environ) == 0) waitpid(child, &status, 0);
  if (status != 0) throw IoError("Graphviz ('dot') did not draw '" + path + "'; the graph is in '" + text + "'");
}

}  // namespace weft::detail
