// What is subscribed to, shared: viewers of the same path see the same frames, built once. A topic remembers its last changes, so
// that a viewer that was away gets only these.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "dashboard/pages.h"

namespace weft::dashboard {

class Topic {
 public:
  explicit Topic(Query query) : query_(std::move(query)) {}

  /// Bring it up to date, unless that was done a moment ago. `now` is the observer's clock.
  void refresh(const Pages& pages, Micros now);
  std::uint64_t seq() const { return seq_; }
  const Query& query() const { return query_; }
  const Json& body() const { return body_.json; }
  /// The body as it is sent; made once for all who get it.
  const std::string& text();
  /// 200, or why there is nothing to see.
  int status() const { return body_.status; }
  /// One patch from there to the present; nothing when that is not known any more.
  std::optional<Json> since(std::uint64_t seq) const;

  Micros used = 0;   // last, by anybody

 private:
  void update(Body fresh, Micros now);

  struct Change {
    std::uint64_t seq;
    Micros t;
    Json patch;
    std::size_t bytes;
  };
  Query query_;
  Body body_;
  std::string text_;                     // of the body; empty: not made yet
  std::uint64_t seq_ = 0;
  Micros built_ = -1'000'000'000;
  Micros fresh_for_ = 0;
  std::size_t bytes_ = 0;
  std::deque<Change> changes_;
};

/// By path; those that nobody used for a minute are forgotten.
class Topics {
 public:
  std::shared_ptr<Topic> find(const std::string& path, const Query& query, Micros now);
  void forget_unused(Micros now);

 private:
  std::map<std::string, std::shared_ptr<Topic>> topics_;
};

}  // namespace weft::dashboard
