// Reading a log without serving it, and the report: one HTML file with the page and the answers it would get.
#include "dashboard/assets.h"
#include "dashboard/dashboard.h"
#include "dashboard/event_log.h"
#include "dashboard/pages.h"

namespace weft::dashboard {

struct History::Data {
  Feed feed;
  Surroundings around;
  Pages pages{feed, around};
};

History::History(std::unique_ptr<Data> data) : data_(std::move(data)) {}
History::~History() = default;
History::History(History&&) noexcept = default;

Result<History> History::open(const std::string& folder, std::uint64_t epoch) {
  auto data = std::make_unique<Data>();
  Result<LogStart> start = read_event_log(folder, data->feed, epoch);
  if (!start) return start.error();
  take_about(data->around, *start, data->feed.about());
  data->around.starts = log_starts(folder);
  return History(std::move(data));
}

std::string History::get(const std::string& target, std::string& type) const {
  Result<Query> query = Query::read(target);
  Body body = query ? data_->pages.get(*query) : error_body(400, query.error().message);
  type = body.type;
  return body.text();
}

// ------------------------------------------------------------------------------------------------ report

static std::string base64(std::string_view bytes) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t j = 0; j < 3; ++j)
      three = three << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j) out += i + j <= bytes.size() ? digits[three >> (18 - 6 * j) & 63] : '=';
  }
  return out;
}

/// Text inside of a script element: nothing in it may end the element.
static std::string inside_script(std::string text) {
  for (std::size_t at = 0; (at = text.find("</", at)) != text.npos; at += 3) text.insert(at + 1, 1, '\\');
  for (std::size_t at = 0; (at = text.find("<!--", at)) != text.npos; at += 9) text.replace(at, 1, "\\u003c");
  return text;
}

/// Put the files that the page names into the page.
static std::string with_files_inside(std::string html, Assets& assets) {
  auto replace = [&](const char* begin, const char* attribute, const char* end, auto make) {
    for (std::size_t at = 0; (at = html.find(begin, at)) != html.npos;) {
      std::size_t close = html.find('>', at);
      if (close == html.npos) return;
      std::string tag = html.substr(at, close - at);
      std::size_t name = tag.find(attribute);
      if (name == tag.npos) {
        at = close;
        continue;
      }
      name += std::string_view(attribute).size();
      std::string path = tag.substr(name, tag.find('"', name) - name);
      if (path.starts_with('.')) path.erase(0, 1);
      const Asset* file = assets.find(path.starts_with('/') ? path : '/' + path);
      if (!file) {
        at = close;
        continue;
      }
      std::size_t last = *end ? html.find(end, close) : close + 1;
      if (last == html.npos) return;
      std::string inside = make(file->plain);
      html.replace(at, last + std::string_view(end).size() - at, inside);
      at += inside.size();
    }
  };
  replace("<link rel=\"stylesheet\"", "href=\"", "", [](const std::string& text) { return "<style>" + text + "</style>"; });
  replace("<link rel=\"icon\"", "href=\"", "", [](const std::string&) { return std::string(); });
  replace("<script", "src=\"", "</script>", [](std::string text) {
    for (std::size_t at = 0; (at = text.find("</script", at)) != text.npos; at += 9) text.insert(at + 1, 1, '\\');
    return "<script type=\"module\">" + text + "</script>";
  });
  return html;
}

static constexpr Micros moment_least = 1'000'000;   // the feed's own moments are as far apart
static constexpr Micros moments_max = 100;
static constexpr std::size_t moments_bytes_max = 2u << 20;

/// A body as it was at times of the past, the first whole and each later one as a patch: half as many of them until they fit.
static Json moments_of(const Source& source, const std::string& path, Micros end) {
  std::string type;
  for (Micros step = std::max(moment_least, end / moments_max);; step *= 2) {
    Json times = Json::array(), patches = Json::array(), first, last;
    std::size_t bytes = 0;
    for (Micros t = 0; t < end && bytes <= moments_bytes_max; t += step) {
      Json body = Json::parse(source(path + (path.find('?') == path.npos ? "?t1=" : "&t1=") + std::to_string(t), type), nullptr, false);
      if (times.empty()) first = body;
      else patches.push_back(merge_patch(last, body)), bytes += to_text(patches.back()).size();
      times.push_back(t);
      last = std::move(body);
    }
    if (bytes <= moments_bytes_max || patches.size() < 2) return {{"t", std::move(times)}, {"first", std::move(first)}, {"patches", std::move(patches)}};
  }
}

Result<std::string> make_report(const Source& source, const std::string& assets) {
  Assets files(assets);
  const Asset* page = files.find("/index.html");
  if (!page)
    return failure(ErrorKind::invalid_argument,
                   "this weft was built without its web page, which a report is made of; build dashboard/web, or name its "
                   "folder with --assets");
  static constexpr const char* targets[] = {
      "overview", "progress?limit=100000", "workers", "groups", "graph", "critical_path", "memory", "memory?by=group", "memory?by=key", "network", "profile", "errors", "events?limit=5000", "logs?limit=5000",
      "series?names=managed_bytes,spilled_bytes,unmanaged_bytes,busy,finished_per_s,transitions_per_s,transfer_bytes_per_s", "series?by=worker&names=busy,managed_bytes", "runs", "system",
      "config", "tasks?limit=1000", "tasks?state=failed&limit=200", "timeline?t0=0", "timeline/time?t0=0&px=1000", "stream?t0=0&px=2000"};
  static constexpr const char* followed[] = {"overview", "workers", "groups", "graph", "memory", "memory?by=group", "network"};
  Json bodies = Json::object();
  for (const char* target : targets) {
    std::string path = std::string("/api/v1/") + target, type;
    std::string body = source(path, type);
    if (type == "application/json") bodies[path] = Json::parse(body, nullptr, false);
    else bodies[path] = {{"base64", base64(body)}};
  }
  for (const char* target : followed) {
    std::string path = std::string("/api/v1/") + target;
    bodies["moments"][path] = moments_of(source, path, bodies["/api/v1/overview"]["t1"]);
  }
  std::string html = with_files_inside(page->plain, files);
  std::string data = "<script type=\"application/json\" id=\"weft-report\">" + inside_script(to_text(bodies)) + "</script>";
  std::size_t at = html.find("<body");
  at = at == html.npos ? html.npos : html.find('>', at);
  if (at == html.npos) return data + html;
  return html.insert(at + 1, data);
}

}  // namespace weft::dashboard
