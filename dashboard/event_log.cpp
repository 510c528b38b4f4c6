#include "dashboard/event_log.h"

#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

namespace weft::dashboard {

namespace files = std::filesystem;

static constexpr std::uint64_t file_bytes_max = 64u << 20;  // before compression
static constexpr std::size_t read_slots = 4096;             // more than one record with its text

namespace {

/// First in every file.
struct Head {
  char magic[8] = {'w', 'e', 'f', 't', 'l', 'o', 'g', '1'};
  std::uint64_t epoch = 0;
  std::int64_t origin_unix_us = 0;
  std::int64_t origin = 0;  // the monotonic clock then
  std::uint64_t number = 0;
};

Failure refused(const std::string& path) {
  return failure(ErrorKind::io_error, "cannot write the dashboard's history in " + path + ": " + std::strerror(errno) +
                                          "; name another folder with --dashboard-history");
}

bool is_log(const files::path& path) {
  std::string name = path.filename();
  return name.starts_with("weft-") && name.ends_with(".log.gz");
}

/// Names have the epoch first, then the number, so that their order is that of time.
std::vector<files::path> logs_in(const std::string& folder) {
  std::vector<files::path> found;
  std::error_code ignored;
  for (const auto& entry : files::directory_iterator(folder, ignored))
    if (is_log(entry.path())) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

Result<EventLog> EventLog::open(const std::string& folder, std::uint64_t bytes_max, std::uint64_t epoch,
                                std::int64_t origin_unix_us, std::vector<std::string> about) {
  std::error_code error;
  files::create_directories(folder, error);
  if (error) return errno = error.value(), refused(folder);
  EventLog log;
  log.folder_ = folder;
  log.bytes_max_ = std::max<std::uint64_t>(bytes_max, 1u << 20);
  log.epoch_ = epoch;
  log.origin_unix_us_ = origin_unix_us;
  log.about_ = std::move(about);
  return log;
}

EventLog::EventLog(EventLog&& other) noexcept { *this = std::move(other); }
EventLog& EventLog::operator=(EventLog&& other) noexcept {
  std::swap(folder_, other.folder_);
  std::swap(bytes_max_, other.bytes_max_), std::swap(epoch_, other.epoch_), std::swap(bytes_, other.bytes_);
  std::swap(in_file_, other.in_file_), std::swap(files_, other.files_), std::swap(origin_unix_us_, other.origin_unix_us_);
  std::swap(file_, other.file_), std::swap(about_, other.about_);
  return *this;
}
EventLog::~EventLog() { close_file(); }

void EventLog::close_file() {
  if (file_) gzclose(static_cast<gzFile>(std::exchange(file_, nullptr)));
}

bool EventLog::begin_file(const Feed& feed, Time origin) {
  close_file();
  delete_old();
  char name[64];
  std::snprintf(name, sizeof name, "weft-%016llx-%06llu.log.gz", static_cast<unsigned long long>(epoch_),
                static_cast<unsigned long long>(files_));
  gzFile file = gzopen((folder_ + '/' + name).c_str(), "wbe1");
  if (!file) return false;
  chmod((folder_ + '/' + name).c_str(), 0600);
  file_ = file;
  in_file_ = 0;
  Head head{.epoch = epoch_, .origin_unix_us = origin_unix_us_, .origin = origin.nanoseconds, .number = files_++};
  return gzwrite(file, &head, sizeof head) == sizeof head && write_names(feed, origin, head.number == 0);
}

/// What the scheduler is, and what names the groups and workers of the files before this one.
bool EventLog::write_names(const Feed& feed, Time origin, bool is_first) {
  bool written = true;
  // A small ring of its own turns names into records.
  scheduler::Observer names(1u << 12);
  Time now = origin + std::chrono::microseconds(feed.now());
  auto drain = [&] {
    const Sighting* first = nullptr;
    while (std::size_t slots = names.peek(first)) {
      written &= gzwrite(static_cast<gzFile>(file_), first, static_cast<unsigned>(slots * sizeof(Sighting))) > 0;
      names.consume(slots);
    }
  };
  for (const std::string& text : about_) names.write(Sighting{.when = now, .what = log_about}, text), drain();
  if (is_first) return written;
  for (std::uint32_t group = 0; group < feed.groups().size(); ++group, drain())
    names.write(Sighting{.when = now, .group = group, .what = Seen::label}, feed.groups()[group].label);
  for (const auto& [id, row] : feed.workers()) {
    if (row.lost >= 0) continue;
    std::string text;
    for (const std::string& field :
         {row.name, row.host, row.address, row.pid, std::to_string(row.slots), std::to_string(row.limit_bytes)})
      text += field + '\0';
    names.write(Sighting{.when = now, .worker = id, .what = Seen::joined}, text);
    drain();
  }
  return written;
}

void EventLog::delete_old() {
  std::vector<files::path> logs = logs_in(folder_);
  std::error_code ignored;
  std::uint64_t sum = 0;
  for (auto log = logs.rbegin(); log != logs.rend(); ++log) {
    sum += files::file_size(*log, ignored);
    // The new file may become as large as one is.
    if (sum + file_bytes_max / 8 > bytes_max_) files::remove(*log, ignored);
  }
}

bool EventLog::append(const Sighting* first, std::size_t slots, const Feed& feed, Time origin) {
  if (folder_.empty()) return false;
  std::size_t size = slots * sizeof(Sighting);
  std::uint64_t most = std::min(file_bytes_max, bytes_max_ / 2);
  bool ready = (file_ && in_file_ + size <= most) || begin_file(feed, origin);
  if (!ready || gzwrite(static_cast<gzFile>(file_), first, static_cast<unsigned>(size)) != static_cast<int>(size)) {
    close_file();
    folder_.clear();
    return false;
  }
  in_file_ += size;
  bytes_ += size;
  return true;
}

void EventLog::flush() {
  if (file_) gzflush(static_cast<gzFile>(file_), Z_SYNC_FLUSH);
}

/// The head of a file; nothing if it is none of ours.
static std::optional<Head> read_head(gzFile file) {
  Head head;
  if (!file || gzread(file, &head, sizeof head) != sizeof head || std::memcmp(head.magic, Head{}.magic, 8) != 0)
    return std::nullopt;
  return head;
}

std::vector<LogStart> log_starts(const std::string& folder) {
  std::vector<LogStart> starts;
  std::error_code ignored;
  for (const files::path& path : logs_in(folder)) {
    gzFile file = gzopen(path.c_str(), "rbe");
    std::optional<Head> head = read_head(file);
    if (file) gzclose(file);
    if (!head) continue;
    if (starts.empty() || starts.back().epoch != head->epoch) starts.push_back({head->epoch, head->origin_unix_us});
    struct stat status {};
    if (stat(path.c_str(), &status) == 0)
      starts.back().written_unix_us = status.st_mtim.tv_sec * 1'000'000 + status.st_mtim.tv_nsec / 1'000;
    starts.back().bytes += files::file_size(path, ignored);
  }
  return starts;
}

Result<LogStart> read_event_log(const std::string& folder, Feed& feed, std::uint64_t epoch) {
  std::vector<files::path> logs = logs_in(folder);
  if (logs.empty())
    return failure(ErrorKind::invalid_argument,
                   "there is no event log in " + folder + "; weft-scheduler writes one with --dashboard-history " + folder);
  LogStart start;
  bool begun = false;
  if (epoch == 0)
    if (auto starts = log_starts(folder); !starts.empty()) epoch = starts.back().epoch;
  for (const files::path& path : logs) {
    gzFile file = gzopen(path.c_str(), "rbe");
    std::optional<Head> head = read_head(file);
    if (!head || head->epoch != epoch) {
      if (file) gzclose(file);
      continue;
    }
    if (!std::exchange(begun, true)) {
      start = {head->epoch, head->origin_unix_us};
      feed.set_origin({head->origin});
    }
    std::vector<Sighting> buffer(read_slots);
    std::size_t held = 0;
    for (;;) {
      int got = gzread(file, buffer.data() + held, static_cast<unsigned>((buffer.size() - held) * sizeof(Sighting)));
      if (got > 0) held += static_cast<std::size_t>(got) / sizeof(Sighting);
      // Whole records only: the rest waits for its text.
      std::size_t whole = 0;
      while (whole < held && whole + 1 + buffer[whole].text_slots <= held) whole += 1u + buffer[whole].text_slots;
      feed.apply(buffer.data(), whole);
      std::move(buffer.begin() + static_cast<std::ptrdiff_t>(whole), buffer.begin() + static_cast<std::ptrdiff_t>(held),
                buffer.begin());
      held -= whole;
      if (got <= 0) break;
    }
    gzclose(file);
  }
  feed.finish();
  if (begun) return start;
  if (!log_starts(folder).empty())
    return failure(ErrorKind::invalid_argument, "no scheduler of epoch " + std::to_string(epoch) + " wrote in " + folder +
                                                    "; `weft history " + folder + "` lists those that did");
  return failure(ErrorKind::invalid_argument, "the logs in " + folder + " are of another format than " +
                                                  std::string(Head{}.magic, 8) + ", which this Weft reads, or not complete");
}

}  // namespace weft::dashboard
