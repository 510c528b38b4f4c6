#include "client/progress.h"

#include <weft/client.h>
#include <weft/progress.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "client/client_core.h"

namespace weft::client {

// ------------------------------------------------------------------------------------------------------------ counting

std::vector<LabelProgress> ProgressMeter::look(const std::string& groups, Time now) {
  std::vector<LabelProgress> labels;
  open_ = 0;
  nlohmann::json all = nlohmann::json::parse(groups, nullptr, false);
  if (!all.is_array()) return labels;
  try {
    for (const auto& group : all) {
      const auto& tasks = group.at("tasks");
      std::uint64_t assigned = tasks.at("assigned");
      std::uint64_t open = assigned + tasks.at("waiting").get<std::uint64_t>() + tasks.at("ready").get<std::uint64_t>();
      Start seen{group.at("finished"), group.at("failed_tasks"), group.at("bytes"), Time::never(), 0, now};
      std::string label = group.at("label");
      // A label that comes later has started after us: all of it counts.
      auto [at, fresh] = starts_.try_emplace(label);
      Start& start = at->second;
      if (fresh && !looked_) start = seen;
      // A scheduler that was restarted counts from zero.
      if (seen.finished < start.finished || seen.errors < start.errors || seen.bytes < start.bytes) start = seen;
      std::uint64_t failed = seen.errors - start.errors, done = seen.finished - start.finished + failed;
      open_ += open;
      if (done + open == 0) continue;
      if (start.began == Time::never() && done + assigned > 0) start.began = now;
      if (std::exchange(start.done, done) != done) start.changed = now;
      Time until = open == 0 ? start.changed : now;
      double seconds = start.began == Time::never() ? 0 : static_cast<double>((until - start.began).count()) / 1e9;
      labels.push_back({label, done, done + open, failed, seen.bytes - start.bytes, seconds});
    }
  } catch (const nlohmann::json::exception&) {
    labels.clear();  // another release answers otherwise; waiting goes on without bars
  }
  looked_ = true;
  return labels;
}

// ----------------------------------------------------------------------------------------------------------- rendering

/// `format` takes one double.
static std::string print(const char* format, double number) {
  char text[64];
  std::snprintf(text, sizeof text, format, number);
  return text;
}

static std::string bytes_text(std::uint64_t bytes) {
  static constexpr const char* units[] = {"%.0f B", "%.1f kB", "%.1f MB", "%.1f GB", "%.1f TB"};
  double number = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (number >= 999.95 && unit + 1 < std::size(units)) number /= 1000, ++unit;
  return print(units[unit], number);
}

static std::string time_text(double seconds) {
  if (seconds < 9.95) return print("%.1f s", seconds);
  if (seconds < 120) return print("%.0f s", seconds);
  if (seconds < 7200) return print("%.0f min", seconds / 60);
  return print("%.1f h", std::min(seconds / 3600, 99'999.0));
}

static std::string rate_text(double rate) { return print(rate < 9.95 ? "%.1f/s" : "%.0f/s", rate); }

/// " 512/s  ETA 1.5 s  12 MB  3 failed": what is known of it.
static std::string facts(const LabelProgress& p) {
  std::string text;
  if (p.done > 0 && p.seconds > 0) {
    double rate = static_cast<double>(p.done) / p.seconds;
    text += "  " + rate_text(rate);
    if (p.done < p.total) text += "  ETA " + time_text(static_cast<double>(p.total - p.done) / rate);
  }
  if (p.bytes > 0) text += "  " + bytes_text(p.bytes);
  if (p.failed > 0) text += "  " + std::to_string(p.failed) + " failed";
  return text;
}

/// At most `width` printable characters; other bytes, which might move a terminal's cursor, become '?'.
static std::string fit(const std::string& label, std::size_t width) {
  std::string text;
  for (unsigned char c : label.substr(0, width)) text += c >= 0x20 && c < 0x7f ? static_cast<char>(c) : '?';
  if (label.size() > width && width > 2) text.replace(width - 2, 2, "..");
  return text;
}

std::vector<std::string> render_bars(std::span<const LabelProgress> labels, std::size_t columns, std::size_t rows) {
  std::vector<LabelProgress> shown(labels.begin(), labels.end());
  if (shown.size() > rows) {
    std::stable_partition(shown.begin(), shown.end(), [](const LabelProgress& p) { return p.done < p.total; });
    shown.resize(rows);
  }
  std::size_t name_width = 0;
  for (const LabelProgress& p : shown) name_width = std::max(name_width, std::min<std::size_t>(p.label.size(), 24));
  std::vector<std::string> ends;
  std::size_t end_width = 0;
  for (const LabelProgress& p : shown) {
    ends.push_back(std::to_string(p.done) + "/" + std::to_string(p.total) + facts(p));
    end_width = std::max(end_width, ends.back().size());
  }
  // The last column stays free: a terminal would wrap there. The longest end decides, so that all bars are equally long.
  std::size_t used = name_width + end_width + 5;
  std::size_t bar = columns > used + 4 ? std::min<std::size_t>(40, columns - used) : 0;
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const LabelProgress& p = shown[i];
    std::string line = fit(p.label, name_width);
    line.resize(name_width, ' ');
    if (bar > 0) {
      std::size_t full = p.total == 0 ? 0 : static_cast<std::size_t>(static_cast<double>(p.done) / static_cast<double>(p.total) * static_cast<double>(bar));
      line += " [" + std::string(full, '#') + std::string(bar - full, '.') + "]";
    }
    line += " " + ends[i];
    if (line.size() >= columns) line.resize(columns > 0 ? columns - 1 : 0);
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string render_line(std::span<const LabelProgress> labels) {
  LabelProgress sum;
  std::string each;
  for (const LabelProgress& p : labels) {
    sum.done += p.done;
    sum.total += p.total;
    sum.failed += p.failed;
    sum.bytes += p.bytes;
    sum.seconds = std::max(sum.seconds, p.seconds);
    each += (each.empty() ? "" : ", ") + fit(p.label, 64) + " " + std::to_string(p.done) + "/" + std::to_string(p.total);
  }
  double percent = sum.total == 0 ? 0 : 100.0 * static_cast<double>(sum.done) / static_cast<double>(sum.total);
  return "weft: " + print("%.0f%%", percent) + " of " + std::to_string(sum.total) + " tasks" + facts(sum) + (each.empty() ? "" : "  (" + each + ")");
}

// The cursor stays in its line and column, so that what others write continues there: lines below are made by IND, which keeps
// the column and scrolls at the bottom, before the cursor is saved. Source: ECMA-48 (ED, CUU, CUD, IND), DEC VT100 (DECSC, DECRC).
std::string render_frame(std::span<const std::string> lines) {
  std::string frame = "\x1b[J";
  if (lines.empty()) return frame;
  for (std::size_t i = 0; i < lines.size(); ++i) frame += "\x1b" "D";
  frame += "\x1b[" + std::to_string(lines.size()) + "A\x1b" "7";
  for (const std::string& line : lines) frame += "\x1b[B\r" + line;
  return frame + "\x1b" "8";
}

// ------------------------------------------------------------------------------------------------------------- showing

namespace {

/// stderr: bars on a terminal, a line each 10 s elsewhere. Erases its bars when it goes.
class Display {
 public:
  Display() {
    const char* kind = std::getenv("TERM");
    terminal_ = isatty(STDERR_FILENO) && kind && *kind && std::strcmp(kind, "dumb") != 0;
  }
  ~Display() {
    if (drawn_) write_all(render_frame({}));
  }
  Display(const Display&) = delete;
  Display& operator=(const Display&) = delete;

  void show(std::span<const LabelProgress> labels, Time now) {
    if (!terminal_) {
      if (now - said_ < 10s || labels.empty()) return;
      said_ = now;
      return write_all(render_line(labels) + "\n");
    }
    winsize size{};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) size.ws_col = 80, size.ws_row = 24;
    std::vector<std::string> lines = render_bars(labels, size.ws_col, std::max<std::size_t>(size.ws_row, 3) - 2u);
    if (lines.empty() && !drawn_) return;
    drawn_ = !lines.empty();
    write_all(render_frame(lines));
  }

 private:
  // In one piece where the terminal takes it, so that nobody's output comes between.
  static void write_all(std::string_view text) {
    while (!text.empty()) {
      ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  bool terminal_ = false, drawn_ = false;
  Time said_ = monotonic_now();
};

constexpr Duration draw_interval = 100ms;

}  // namespace
}  // namespace weft::client

namespace weft {

void detail::show_progress(const std::vector<FutureHandle>& futures) {
  Gate gate;
  for (const FutureHandle& future : futures) gate.add(future);
  if (gate.wait(futures.size(), Duration(0))) return;
  std::map<std::shared_ptr<client::ClientCore>, client::ProgressMeter> meters;
  for (const FutureHandle& future : futures)
    if (future.status() == FutureStatus::pending) meters[future.client()];
  client::Display display;
  try {
    do {
      std::vector<client::LabelProgress> labels;
      for (auto& [core, meter] : meters)
        for (auto& label : meter.look(core->ask("groups", {}, {}, true), monotonic_now())) labels.push_back(std::move(label));
      display.show(labels, monotonic_now());
    } while (!gate.wait(futures.size(), client::draw_interval));
  } catch (const ConnectionFailed&) {
    gate.wait(futures.size(), {});  // their own ends say what happened
  }
}

void Client::progress() {
  client::ProgressMeter meter;
  client::Display display;
  for (Time drawn = monotonic_now() - client::draw_interval;;) {
    Time now = monotonic_now();
    auto labels = meter.look(ask("groups", {}, {}, true), now);
    if (meter.open() == 0) return;
    if (now - drawn >= client::draw_interval) display.show(labels, drawn = now);
    std::this_thread::sleep_for(client::draw_interval / 5);  // looks more often than it draws: who waits here may be measured
  }
}

}  // namespace weft
