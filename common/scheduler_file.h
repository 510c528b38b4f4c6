// The scheduler file: where a running scheduler is and how it is reached, for everybody who can read the file. It holds no
// secret; it names the folder that does.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"

namespace weft {

struct SchedulerFile {
  std::string client_address, worker_address;  // to connect to
  std::string public_key;                      // Z85; empty on ipc
  std::string keys;                            // folder with client.key and worker.key; empty on ipc
  std::uint64_t epoch = 0;
  std::int64_t pid = 0;
  std::string host;                            // where that process lives
  std::string version;                         // of Weft
  std::string dashboard;                       // http://host:port/; empty when there is none

  bool operator==(const SchedulerFile&) const = default;
};

/// Write it so that a reader sees the old or the whole new file.
Result<void> write_scheduler_file(const std::string& path, const SchedulerFile& file);
/// Unknown fields are skipped; what is missing or wrong is named.
Result<SchedulerFile> read_scheduler_file(const std::string& path);

/// The address that a client connects to when its program names none: $WEFT_ADDRESS, else that of the scheduler file
/// $WEFT_SCHEDULER_FILE, else nothing (an embedded cluster).
Result<std::string> find_scheduler_address();

}  // namespace weft
