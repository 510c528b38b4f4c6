#include "dashboard/viewer.h"

#include <algorithm>

namespace weft::dashboard {

static constexpr std::size_t subscriptions_max = 64;
static constexpr std::size_t answers_max = 128;  // to one message; a viewer that sends more without reading is not answered
static constexpr double stream_span_default = 30e6;

static bool is_list(const Query& query) { return query.path[0] == "events" || query.path[0] == "logs"; }

void Viewer::refuse(const Json& id, const Body& why) {
  Json message = why.json;
  message["id"] = id;
  say(std::move(message));
}

void Viewer::receive(std::string_view text) {
  if (answers_.size() > answers_max) return;
  Json message = Json::parse(text, nullptr, false);
  if (!message.is_object()) return refuse(nullptr, error_body(400, "a message is a JSON object: sub, unsub, hz or ping"));
  if (auto ping = message.find("ping"); ping != message.end() && !ping->is_structured()) say({{"pong", *ping}});
  if (auto wanted = message.find("sub"); wanted != message.end() && wanted->is_array())
    for (const Json& each : *wanted) subscribe(each);
  if (auto ids = message.find("unsub"); ids != message.end() && ids->is_array())
    for (const Json& id : *ids)
      if (id.is_number_unsigned()) subscriptions_.erase(id.get<std::uint32_t>());
  if (auto rates = message.find("hz"); rates != message.end() && rates->is_object())
    for (const auto& [id, hz] : rates->items()) {
      auto found = subscriptions_.find(static_cast<std::uint32_t>(std::strtoul(id.c_str(), nullptr, 10)));
      if (found == subscriptions_.end() || !hz.is_number()) continue;
      found->second.hz = std::clamp(hz.get<double>(), 0.0, 10.0);
      found->second.due = 0;
    }
}

void Viewer::subscribe(const Json& wanted) {
  Json id = wanted.is_object() && wanted.contains("id") ? wanted["id"] : Json(nullptr);
  if (!id.is_number_unsigned() || id.get<std::uint64_t>() > 0xffffffff || !wanted.contains("get") ||
      !wanted["get"].is_string())
    return refuse(id, error_body(400, "a subscription has an id (a number) and a get (a path)"));
  if (subscriptions_.size() >= subscriptions_max && !subscriptions_.contains(id.get<std::uint32_t>()))
    return refuse(id, error_body(429, "64 subscriptions are the most; end one with unsub"));
  std::string path = wanted["get"];
  Result<Query> query = Query::read(path);
  if (!query) return refuse(id, error_body(400, query.error().message));
  if (auto refusal = refusal_of(*query)) return refuse(id, error_body(*refusal));
  auto number = [&](const char* name, double otherwise) {
    return wanted.contains(name) && wanted[name].is_number() ? wanted[name].get<double>() : otherwise;
  };
  Subscription subscription{.query = *query};
  subscription.hz = std::clamp(number("hz", 1), 0.0, 10.0);
  subscription.fixed = query->has("t1");
  subscription.stream = query->path[0] == "stream";
  if (subscription.stream) {
    subscription.span = static_cast<Micros>(std::clamp(number("span", stream_span_default), 1e3, 9e15));
    subscription.query.parameters["span"] = std::to_string(subscription.span);
  } else if (!is_list(*query)) {
    Body body = pages_.get(*query);
    if (body.status != 200) return refuse(id, body);
    if (!body.bytes.empty()) return refuse(id, error_body(400, "this resource is a file: read it over GET"));
    subscription.topic = topics_.find(path, *query, feed_.now());
    subscription.sent = static_cast<std::uint64_t>(std::clamp(number("since", 0), 0.0, 9e15));
    subscription.begun = subscription.sent > 0;
  }
  subscriptions_[id.get<std::uint32_t>()] = std::move(subscription);
}

std::optional<Frame> Viewer::next(Micros now) {
  if (!answers_.empty()) {
    Frame answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }
  // The one that waits longest first, so that a slow viewer sees all of its subscriptions.
  for (std::size_t tried = 0; tried < subscriptions_max; ++tried) {
    std::uint32_t id = 0;
    Subscription* first = nullptr;
    for (auto& [number, each] : subscriptions_)
      if (each.hz > 0 && each.due <= now && (!first || each.due < first->due)) first = &each, id = number;
    if (!first) return std::nullopt;
    first->due = now + static_cast<Micros>(1e6 / first->hz);
    if (auto made = frame(id, *first, now)) return made;
  }
  return std::nullopt;
}

std::optional<Frame> Viewer::frame(std::uint32_t id, Subscription& subscription, Micros now) {
  if (subscription.fixed && subscription.begun) return subscription.hz = 0, std::nullopt;
  if (subscription.stream) return stream_frame(id, subscription, now);
  return subscription.topic ? topic_frame(id, subscription, now) : list_frame(id, subscription, now);
}

std::optional<Frame> Viewer::topic_frame(std::uint32_t id, Subscription& subscription, Micros now) {
  Topic& topic = *subscription.topic;
  topic.refresh(pages_, now);
  if (subscription.begun && subscription.sent == topic.seq()) return std::nullopt;
  Json message = {{"id", id}, {"seq", topic.seq()}, {"t", feed_.now()}};
  std::optional<Json> patch;
  if (subscription.begun && topic.status() == 200) patch = topic.since(subscription.sent);
  if (patch) {
    message["base"] = subscription.sent;
    message["delta"] = std::move(*patch);
  } else if (topic.status() != 200) {
    message["error"] = topic.body()["error"];
  }
  subscription.begun = true;
  subscription.sent = topic.seq();
  std::string text = to_text(message);
  if (!patch && topic.status() == 200) text.replace(text.size() - 1, 1, ",\"snapshot\":" + topic.text() + '}');
  return Frame{std::move(text), false};
}

std::optional<Frame> Viewer::list_frame(std::uint32_t id, Subscription& subscription, Micros) {
  bool first = !subscription.begun;
  if (!first) subscription.query.parameters["after"] = std::to_string(subscription.after);
  Body body = pages_.get(subscription.query);
  subscription.begun = true;
  Json message = {{"id", id}, {"seq", ++subscription.seq}, {"t", feed_.now()}};
  if (body.status != 200) {
    subscription.hz = 0;
    message["error"] = body.json["error"];
    return Frame{to_text(message), false};
  }
  subscription.after = body.json["next"];
  if (first) message["snapshot"] = std::move(body.json);
  else if (body.json[body.list].empty()) return std::nullopt;
  else message["append"] = std::move(body.json[body.list]), message["next"] = subscription.after;
  return Frame{to_text(message), false};
}

std::optional<Frame> Viewer::stream_frame(std::uint32_t id, Subscription& subscription, Micros now) {
  // What happens in this very microsecond may not all be here yet.
  Micros t1 = std::max<Micros>(now - 1, 0), t0 = std::max<Micros>(t1 - subscription.span, 0);
  if (subscription.fixed) {
    subscription.begun = true;
    t1 = std::min(now, static_cast<Micros>(subscription.query.number("t1", static_cast<double>(t1))));
    t0 = std::clamp<Micros>(static_cast<Micros>(subscription.query.number("t0", 0)), 0, t1);
    subscription.query.parameters["span"] = std::to_string(std::max<Micros>(t1 - t0, 1));
    return Frame{pages_.stream(subscription.query, t0, t1, id, static_cast<double>(++subscription.seq), false), true};
  }
  auto shape = [](const std::string& bytes) { return bytes.substr(32, 1) + bytes.substr(36, 4) + bytes.substr(48, 8); };
  bool delta = subscription.begun && subscription.last >= t0;
  double seq = static_cast<double>(++subscription.seq);
  std::string bytes = pages_.stream(subscription.query, delta ? subscription.last : t0, t1, id, seq, delta);
  if (delta && shape(bytes) != subscription.shape) bytes = pages_.stream(subscription.query, t0, t1, id, seq, false);
  subscription.shape = shape(bytes);
  subscription.begun = true;
  subscription.last = t1;
  return Frame{std::move(bytes), true};
}

}  // namespace weft::dashboard
