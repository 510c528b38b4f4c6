// What the dashboard reads: paths and parameters, Host, Origin, cookies, a viewer's messages, and logs of events; what it writes
// is JSON that can be parsed, and inside a page nothing of it begins a tag.
#include "dashboard/event_log.h"
#include "dashboard/safety.h"
#include "dashboard/viewer.h"
#include "scratch_folder.h"

namespace {

using namespace weft;
using namespace weft::fuzz;
using namespace weft::dashboard;

constexpr FeedLimits small{.tasks = 200, .rectangles = 500, .cells_bytes = 1u << 20, .moments_bytes = 1u << 20, .events = 100, .lines = 100, .errors = 50, .links = 100};

void well_formed(const Body& body) {
  if (!body.bytes.empty()) return;
  promise(Json::parse(body.text(), nullptr, false).is_discarded() == false, "an answer is JSON");
}

/// The number of a group or worker: nearly always one of a few, or tables of what never was would fill up.
std::uint32_t few(Source& source) {
  bool any = source.one_in(250);
  return static_cast<std::uint32_t>(any ? source.number() : source.below(20));
}

/// Records of any kind: the ring's own, or those of a file.
Bytes some_records(Source& source, std::size_t count) {
  Bytes bytes;
  for (std::size_t i = 0; i < count && !source.empty(); ++i) {
    Sighting record{.when = {static_cast<std::int64_t>(1'000'000'000 + i * 50'000'000)}, .key = source.key(), .amount = source.number(), .group = few(source), .worker = few(source), .extra = static_cast<std::uint32_t>(source.number()),
                    .what = static_cast<Seen>(source.below(22)), .from = source.byte(), .to = source.byte()};
    if (source.one_in(32)) record.when.nanoseconds = static_cast<std::int64_t>(source.number());
    record.text_slots = static_cast<std::uint8_t>(source.below(3));
    auto raw = std::as_bytes(std::span(&record, 1));
    bytes.insert(bytes.end(), raw.begin(), raw.end());
    for (std::size_t n = record.text_slots * sizeof(Sighting); n > 0; --n) bytes.push_back(std::byte{source.byte()});
  }
  return bytes;
}

void ask_everything(const Feed& feed) {
  Surroundings around;
  Pages pages(feed, around);
  for (const char* target : {"overview", "workers", "groups", "graph", "critical_path", "memory?by=key", "network", "profile", "errors", "events", "logs", "series?by=worker", "runs",
                             "system", "tasks?limit=100", "timeline", "stream?px=100", "trace"}) {
    auto query = Query::read(std::string("/api/v1/") + target);
    promise(static_cast<bool>(query), "our own paths are good");
    well_formed(pages.get(*query));
  }
  pages.metrics();
}

void records(Source& source) {
  Feed feed(small);
  Bytes bytes = some_records(source, 400);
  feed.apply(reinterpret_cast<const Sighting*>(bytes.data()), bytes.size() / sizeof(Sighting));
  ask_everything(feed);
}

void log_file(Input input) {
  static ScratchFolder folder;
  folder.write("weft-0000000000000001-000000.log.gz", input);
  Feed feed(small);
  if (read_event_log(folder.path(), feed)) ask_everything(feed);
}

void doors(Source& source, const std::string& text) {
  std::size_t one = source.byte(), two = source.byte();
  std::string_view host = std::string_view(text).substr(0, one), rest = std::string_view(text).substr(host.size()), other = rest.substr(0, two);
  Doors open("127.0.0.1", {}, ""), locked("10.0.0.1", {"name"}, "0123456789abcdef");
  if (open.host_is_ours(host)) promise(host.size() >= 9, "a host that is ours has one of our names");
  if (!other.empty() && open.origin_is_ours(other, host)) promise(other.ends_with(host) && open.host_is_ours(host), "an origin that is ours is our host");
  if (locked.token_is_right(host, rest)) promise(text.find("0123456789abcdef") != text.npos, "only who has the token comes in");
}

void viewer(const std::string& text) {
  Feed feed(small);
  Bytes seed(2000, std::byte{3});
  for (std::size_t i = 0; i < seed.size(); ++i) seed[i] = std::byte(i * 7 % 251);
  Source source(seed);
  Bytes bytes = some_records(source, 60);
  feed.apply(reinterpret_cast<const Sighting*>(bytes.data()), bytes.size() / sizeof(Sighting));
  Surroundings around;
  Pages pages(feed, around);
  Topics topics;
  Viewer viewer(pages, feed, topics);
  std::size_t begin = 0;
  for (std::size_t end; begin <= text.size(); begin = end + 1) {
    end = std::min(text.find('\n', begin), text.size());
    viewer.receive(std::string_view(text).substr(begin, end - begin));
    for (int i = 0; i < 50; ++i) {
      auto frame = viewer.next(feed.now() + i * 100'000);
      if (frame && !frame->binary) promise(!Json::parse(frame->bytes, nullptr, false).is_discarded(), "a frame is JSON");
    }
  }
}

void query(const std::string& text) {
  auto query = Query::read(text);
  if (!query || query->path.empty()) return;
  static Feed feed(small);
  static Surroundings around;
  well_formed(Pages(feed, around).get(*query));
}

void escape(const std::string& text) {
  std::string json = to_text(Json{{text, text}});
  Json back = Json::parse(json, nullptr, false);
  promise(back.is_object() && back.size() == 1, "any text is a string of JSON");
  for (char c : json) promise(static_cast<unsigned char>(c) >= 0x20, "no control character is left as it is");
}

void run(Input input) {
  if (input.empty()) return;
  Source source(input.subspan(1));
  switch (std::to_integer<int>(input[0]) % 6) {
    case 0: return query(text_of(source.rest()));
    case 1: return viewer(text_of(source.rest()));
    case 2: return doors(source, text_of(input.subspan(std::min<std::size_t>(3, input.size()))));
    case 3: return records(source);
    case 4: return log_file(source.rest());
    default: return escape(text_of(source.rest()));
  }
}

Seeds seeds() {
  auto seed = [](int which, std::string_view text) {
    Bytes bytes{std::byte(which)};
    Bytes rest = bytes_of(text);
    bytes.insert(bytes.end(), rest.begin(), rest.end());
    return bytes;
  };
  Seeds all{{"query-tasks", seed(0, "/api/v1/tasks?state=failed&limit=5&after=3&t1=100")}, {"query-series", seed(0, "/api/v1/series?names=busy,managed_bytes&by=worker")},
            {"query-escaped", seed(0, "/api/v1/tasks/%31%32?group=a%20b&t0=-1e9")},
            {"viewer-subscribe", seed(1, R"({"sub":[{"id":1,"get":"/api/v1/overview","hz":10},{"id":2,"get":"/api/v1/stream","span":1e6}]})" "\n" R"({"unsub":[1],"hz":{"2":5},"ping":7})")},
            {"viewer-list", seed(1, R"({"sub":[{"id":3,"get":"/api/v1/events"},{"id":4,"get":"/api/v1/logs?limit=5"}]})")},
            {"doors-origin", seed(2, "\x0e\x15" "127.0.0.1:8787http://127.0.0.1:8787")}, {"doors-bearer", seed(2, "\x17\x01" "Bearer 0123456789abcdef")},
            {"doors-cookie", seed(2, std::string_view("\0\0" "a=b; weft_token=0123456789abcdef", 34))}, {"escape-tag", seed(5, "</script>\x01\xff\xc3")}};
  for (auto& [name, bytes] : stories(3)) {
    bytes[0] = std::byte{3};
    all.emplace_back("records-" + name, bytes);
  }
  Source source(all.back().second);
  Bytes records = some_records(source, 20), log = seed(4, std::string_view("weftlog1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 40));
  log.insert(log.end(), records.begin(), records.end());
  all.emplace_back("log-file", std::move(log));
  return all;
}

}  // namespace

WEFT_FUZZ_TARGET("dashboard", run, seeds, 20);
