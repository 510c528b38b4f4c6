// The observer's records on disk: gzip files of bounded size, the oldest deleted when the folder is full. A file begins with
// what names the groups and workers of the files before it, so that each can be read alone.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/result.h"
#include "dashboard/feed.h"
#include "dashboard/log_start.h"

namespace weft::dashboard {

class EventLog {
 public:
  /// `about`: texts of log_about records, which begin every file. Writes nothing before the first `append`. A folder that
  /// cannot be written is a Failure that says so.
  static Result<EventLog> open(const std::string& folder, std::uint64_t bytes_max, std::uint64_t epoch,
                               std::int64_t origin_unix_us, std::vector<std::string> about = {});
  ~EventLog();
  EventLog(EventLog&& other) noexcept;
  EventLog& operator=(EventLog&& other) noexcept;

  /// Append whole records. `feed` knows the names that a new file begins with. False: the disk refused, and the log is
  /// closed.
  bool append(const Sighting* first, std::size_t slots, const Feed& feed, Time origin);
  /// Make what was appended readable by others.
  void flush();
  std::uint64_t bytes() const { return bytes_; }

 private:
  EventLog() = default;
  bool begin_file(const Feed& feed, Time origin);
  bool write_names(const Feed& feed, Time origin, bool is_first);
  void close_file();
  void delete_old();

  std::string folder_;
  std::uint64_t bytes_max_ = 0, epoch_ = 0, bytes_ = 0, in_file_ = 0, files_ = 0;
  std::int64_t origin_unix_us_ = 0;
  std::vector<std::string> about_;
  void* file_ = nullptr;  // gzFile
};

/// Feed one start (epoch; 0: the newest) of a folder to `feed`; a file that was cut short counts as far as it goes.
Result<LogStart> read_event_log(const std::string& folder, Feed& feed, std::uint64_t epoch = 0);

}  // namespace weft::dashboard
