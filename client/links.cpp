#include "client/links.h"

#include <weft/init.h>

#include "common/address.h"
#include "common/credentials.h"
#include "common/data/transfer.h"

namespace weft::client {

namespace {

/// Borrows what lies on this host, fetches the rest into fresh heap memory, puts from the user's values.
class TransferLink final : public ValueLink {
 public:
  explicit TransferLink(Endpoint& endpoint)
      : endpoint_(endpoint),
        fetcher_(endpoint, [this](FetchId id, std::uint64_t total) { return place(id, total); }, {}, connect(endpoint), &borrower_),
        sender_(endpoint, {}, connect(endpoint)) {
    endpoint_.watch(borrower_.descriptor());
  }
  ~TransferLink() override { endpoint_.unwatch(borrower_.descriptor()); }

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
    borrower_.serve(now);
    static_cast<void>(borrower_.take_unsure());  // what the user looks at cannot move
    fetcher_.on_time(now);
    sender_.on_time(now);
    std::vector<Event> events;
    for (FetchEnded& ended : fetcher_.take()) {
      Fetching fetch = std::move(fetches_.at(ended.id));
      fetches_.erase(ended.id);
      std::optional<Value> value;
      if (ended.borrowed) value = Value::from(std::move(ended.borrowed->bytes));
      else if (ended.failure.kind == ErrorKind::none) value = Value::from(Buffer::own(std::move(fetch.block)));
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
  Time wake_at() const override { return std::min({fetcher_.wake_at(), sender_.wake_at(), borrower_.wake_at()}); }

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

  Endpoint& endpoint_;
  Borrower borrower_;
  ValueFetcher fetcher_;
  ValueSender sender_;
  std::map<FetchId, Fetching> fetches_;
  std::map<FetchId, Key> puts_;
  std::uint64_t count_ = 0;
};

}  // namespace

std::unique_ptr<ValueLink> make_value_link(Endpoint& endpoint) { return std::make_unique<TransferLink>(endpoint); }

Result<Links> open_links(const std::string& address, bool dashboard) {
  detail::stop_strayed_executor();
  if (address.empty()) return start_embedded(dashboard);
  detail::require_init();  // workers elsewhere start this program
  Links links;
  Result<Address> read = read_contact_address(address, 8786);
  if (!read) return read.error();
  links.address = to_text(*read);
  Result<ClientCredentials> credentials = find_client_credentials(links.address);
  if (!credentials) return credentials.error();
  links.server_key = credentials->server_key;
  // The control link is given its key; a worker that says it has none serves values in clear, by its operator's choice.
  links.endpoint = make_zeromq_endpoint(ZeromqOptions{.keys = std::move(credentials->keys), .clear_values = true});
  links.values = make_value_link(*links.endpoint);
  return links;
}

}  // namespace weft::client
