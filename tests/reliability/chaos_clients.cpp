#include "reliability/chaos_clients.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace weft::reliability {

namespace fs = std::filesystem;

ChaosClients::ChaosClients(Cluster& cluster, std::string folder, std::uint64_t seed, std::size_t count)
    : cluster_(cluster), folder_(std::move(folder)), next_seed_(seed), running_(count) {
  fs::create_directory(folder_);
  for (std::size_t i = 0; i < count; ++i) start(i);
}

void ChaosClients::start(std::size_t i) {
  ChildOptions options{.arguments = {"--chaos-client", cluster_.address(i), std::to_string(next_seed_++), folder_}};
  int file = open((folder_ + "/errors").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  options.output = options.errors = file;
  auto child = ChildProcess::start("/proc/self/exe", options);
  close(file);
  running_[i].emplace(std::move(child).value_or_throw());
}

void ChaosClients::replace(std::size_t i) {
  running_[i]->signal(SIGKILL);
  running_[i]->wait();
  running_[i].reset();
  start(i);
}

std::vector<std::string> ChaosClients::lines() const {
  std::vector<std::string> all;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) all.push_back(line);
  }
  return all;
}

std::uint64_t ChaosClients::count(const std::string& word) const {
  std::uint64_t number = 0;
  for (const std::string& line : lines()) number += line.starts_with(word);
  return number;
}

std::uint64_t ChaosClients::tasks() const {
  std::uint64_t number = 0;
  for (const std::string& line : lines())
    if (line.starts_with("tasks ")) number += std::stoull(line.substr(6));
  return number;
}

std::string ChaosClients::wrong() const {
  std::string words;
  for (const std::string& line : lines())
    if (!line.ends_with(" right")) words += line + "; ";
  return words;
}

std::string ChaosClients::finish(Duration patience) {
  std::ofstream(folder_ + "/stop");
  std::string words;
  Time deadline = monotonic_now() + patience;
  for (auto& client : running_) {
    std::optional<int> code = client->wait(deadline);
    if (!code) words += "a client does not end; ";
    else if (*code != 0) words += "a client ended with code " + std::to_string(*code) + "; ";
    client.reset();
  }
  return words + wrong();
}

}  // namespace weft::reliability
