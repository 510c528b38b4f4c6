#include "common/scheduler_file.h"

#include <cstdlib>

#include <nlohmann/json.hpp>

#include "common/process.h"

namespace weft {

using Json = nlohmann::ordered_json;

Result<void> write_scheduler_file(const std::string& path, const SchedulerFile& file) {
  Json json = {{"format", 1},
               {"version", file.version},
               {"client_address", file.client_address},
               {"worker_address", file.worker_address},
               {"public_key", file.public_key},
               {"keys", file.keys},
               {"host", file.host},
               {"pid", file.pid},
               {"epoch", file.epoch},
               {"dashboard", file.dashboard}};
  return write_whole_file(path, json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n');
}

Result<SchedulerFile> read_scheduler_file(const std::string& path) {
  Result<std::string> text = read_whole_file(path, 64 * 1024);
  if (!text) return failure(text.error().kind, text.error().message + " (a scheduler file)");
  auto wrong = [&](const std::string& why) {
    return failure(ErrorKind::io_error, path + " is no scheduler file: " + why);
  };
  try {
    Json json = Json::parse(*text);
    if (json.at("format").get<int>() != 1) return wrong("it was written by a newer release");
    SchedulerFile file;
    json.at("client_address").get_to(file.client_address);
    json.at("worker_address").get_to(file.worker_address);
    json.at("public_key").get_to(file.public_key);
    json.at("keys").get_to(file.keys);
    file.dashboard = json.value("dashboard", "");
    file.version = json.value("version", "");
    file.host = json.value("host", "");
    file.pid = json.value("pid", std::int64_t{0});
    file.epoch = json.value("epoch", std::uint64_t{0});
    if (file.client_address.empty() || file.worker_address.empty()) return wrong("an address is empty");
    return file;
  } catch (const Json::exception&) {
    return wrong("it is cut off, or a field is missing or of the wrong type; give the file that --scheduler-file of weft-scheduler wrote");
  }
}

Result<std::string> find_scheduler_address() {
  if (const char* address = std::getenv("WEFT_ADDRESS"); address && *address) return std::string(address);
  const char* path = std::getenv("WEFT_SCHEDULER_FILE");
  if (!path || !*path) return std::string();
  Result<SchedulerFile> file = read_scheduler_file(path);
  if (!file) return file.error();
  return file->client_address;
}

}  // namespace weft
