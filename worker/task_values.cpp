#include "worker/task_values.h"

namespace weft::worker {

TaskValues::TaskValues(ValueStore& store, Endpoint& links, std::string endpoint, Borrower* borrower)
    : store_(store),
      fetcher_(links, [this](FetchId id, std::uint64_t total) -> Result<std::span<std::byte>> {
        auto found = fetches_.find(id);
        WEFT_CHECK(found != fetches_.end());
        found->second.place.reset();
        auto place = store_.reserve(total);
        if (!place) return place.error();
        found->second.place = std::move(*place);
        return found->second.place->bytes();
      }, {}, borrower),
      sender_(links),
      endpoint_(std::move(endpoint)) {}

void TaskValues::read(TaskRead read) {
  if (store_.contains(read.key)) {
    if (auto value = store_.find(read.key); value || (store_.load(read.key) && (value = store_.find(read.key)))) {
      answers_.push_back({.attempt = read.attempt, .key = read.key, .value = std::move(*value)});
    } else {
      loading_[read.key].push_back(std::move(read));
    }
    return;
  }
  std::erase_if(read.locations, [this](const Location& location) { return location.endpoint == endpoint_; });
  if (read.locations.empty()) {
    answers_.push_back({.attempt = read.attempt, .key = read.key,
                        .failure = failure(ErrorKind::data_lost, "the value is not at this worker any more")});
    return;
  }
  FetchId id{++count_};
  weft::Fetch fetch{.id = id, .key = read.key, .locations = std::move(read.locations)};
  fetches_[id] = Fetching{std::move(read), {}};
  fetcher_.start(std::move(fetch));
}

void TaskValues::arrived(const Key& key) {
  auto found = loading_.find(key);
  if (found == loading_.end()) return;
  std::vector<TaskRead> reads = std::move(found->second);
  loading_.erase(found);
  for (TaskRead& read : reads) this->read(std::move(read));
}

void TaskValues::put(TaskPut put) {
  FetchId id{++count_};
  sender_.start(id, put.key, put.value.block(), put.location);
  puts_[id] = std::move(put);
}

// The value is the task's alone: it goes through the store for its memory, and is not kept there.
void TaskValues::finish(FetchEnded& ended) {
  Fetching fetch = std::move(fetches_.at(ended.id));
  fetches_.erase(ended.id);
  TaskAnswer answer{.attempt = fetch.read.attempt, .key = fetch.read.key, .failure = ended.failure};
  if (ended.borrowed) {
    auto value = Value::from(std::move(ended.borrowed->bytes));
    if (value) answer.value = std::move(*value);
    else answer.failure = failure(ErrorKind::protocol_error, "the borrowed bytes are no value");
  } else if (answer.failure.kind == ErrorKind::none) {
    Key own = Key::random();
    Result<void> kept = store_.commit(own, std::move(fetch.place), ended.content);
    auto value = kept ? store_.find(own) : std::nullopt;
    if (value) answer.value = std::move(*value);
    else answer.failure = kept ? failure(ErrorKind::memory_limit, "no memory for the value") : kept.error();
    if (kept) store_.erase(own);
  }
  answers_.push_back(std::move(answer));
}

std::vector<TaskAnswer> TaskValues::take(Time now) {
  fetcher_.serve(now);
  sender_.serve(now);
  for (FetchEnded& ended : fetcher_.take()) finish(ended);
  for (PutEnded& ended : sender_.take()) {
    auto put = puts_.extract(ended.id);
    if (ended.failure.kind == ErrorKind::none) continue;
    answers_.push_back({.attempt = put.mapped().attempt, .key = put.mapped().key, .put = true, .failure = std::move(ended.failure)});
  }
  return std::exchange(answers_, {});
}

}  // namespace weft::worker
