#include "client/links.h"

#include <weft/init.h>

#include "client/images.h"
#include "client/throw_trace.h"
#include "common/data/transfer.h"

namespace weft::client {

namespace {

/// Fetches into fresh heap memory, puts from the user's values.
class TransferLink final : public ValueLink {
 public:
  explicit TransferLink(Endpoint& endpoint)
      : fetcher_(endpoint, [this](FetchId id, std::uint64_t total) { return place(id, total); }, {}, connect(endpoint)),
        sender_(endpoint, {}, connect(endpoint)) {}

  void fetch(const Key& key, std::vector<Location> locations, Time now) override {
    FetchId id{++count_};
    fetches_[id] = Fetching{key, {}};
    fetcher_.start(weft::Fetch{.id = id, .key = key, .locations = std::move(locations)}, now);
  }
  void put(const Key& key, const Value& value, const Location& location, Time now) override {
    FetchId id{++count_};
    puts_[id] = key;
    sender_.start(id, key, value.block(), location, now);
  }
  bool handle(EndpointEvent& event, Time now) override { return fetcher_.on_event(event, now) || sender_.on_event(event, now); }

  std::vector<Event> take(Time now) override {
    fetcher_.on_time(now);
    sender_.on_time(now);
    std::vector<Event> events;
    for (FetchEnded& ended : fetcher_.take()) {
      Fetching fetch = std::move(fetches_.at(ended.id));
      fetches_.erase(ended.id);
      auto value = ended.failure.kind == ErrorKind::none ? Value::from(Buffer::own(std::move(fetch.block))) : std::nullopt;
      if (value) events.push_back(FetchDone{fetch.key, std::move(*value)});
      else if (ended.failure.kind != ErrorKind::none) events.push_back(FetchFailed{fetch.key, std::move(ended.failure)});
      else events.push_back(FetchFailed{fetch.key, failure(ErrorKind::protocol_error, "a worker sent bytes that are no value")});
    }
    for (PutEnded& ended : sender_.take()) {
      Key key = puts_.at(ended.id);
      puts_.erase(ended.id);
      if (ended.failure.kind != ErrorKind::none) events.push_back(PutFailed{key, std::move(ended.failure)});
    }
    return events;
  }
  Time wake_at() const override { return std::min(fetcher_.wake_at(), sender_.wake_at()); }

 private:
  struct Fetching {
    Key key;
    Bytes block;
  };
  static ValueLinks::Connect connect(Endpoint& endpoint) {
    return [&endpoint](const Location& location) {
      std::string key(reinterpret_cast<const char*>(location.public_key.data()), location.public_key.size());
      return endpoint.connect(location.endpoint, key);
    };
  }
  Result<std::span<std::byte>> place(FetchId id, std::uint64_t total) {
    Fetching& fetch = fetches_.at(id);
    try {
      fetch.block = Bytes(total);
    } catch (const std::bad_alloc&) {
      return failure(ErrorKind::memory_limit, "no memory for a result of " + std::to_string(total) + " bytes");
    }
    return std::span<std::byte>(fetch.block);
  }

  ValueFetcher fetcher_;
  ValueSender sender_;
  std::map<FetchId, Fetching> fetches_;
  std::map<FetchId, Key> puts_;
  std::uint64_t count_ = 0;
};

}  // namespace

std::unique_ptr<ValueLink> make_value_link(Endpoint& endpoint) { return std::make_unique<TransferLink>(endpoint); }

worker::FunctionRuntime function_runtime() {
  return {.resolve = [](const FunctionRef& function, void (**target)()) {
            static thread_local ThrowTrace::Scope traced;  // this thread runs user code from now on
            return resolve_function(function, target);
          },
          .describe_exception = [] { return failure_from_current_exception(); },
          .on_start = detail::set_up_executor};
}

/// What workers elsewhere need to run this program's functions.
static Result<void> name_program(Links& links) {
  Result<Key> program = program_id();
  if (!program) return program.error();
  Result<std::vector<ImageFile>> files = program_files();
  if (!files) return files.error();
  ProgramFiles named;
  for (const ImageFile& file : *files) named.push_back({file.path, file.build_id, file.sha256, file.size, file.main});
  links.program = *program;
  links.program_files = encode(named);
  return {};
}

Result<Links> open_links(const std::string& address) {
  if (address.empty()) return start_embedded();
  Links links;
  links.address = address;
  links.endpoint = make_zeromq_endpoint(ZeromqOptions{});
  links.values = make_value_link(*links.endpoint);
  if (Result<void> named = name_program(links); !named) return named.error();
  return links;
}

}  // namespace weft::client
