#include "client/links.h"

#include <weft/init.h>

#include "common/address.h"
#include "common/credentials.h"
#include "common/data/segments.h"
#include "common/data/transfer.h"

namespace weft::client {

namespace {

/// Big results come into memory that is used again for the next ones: touching it first costs as much as a transfer does.
constexpr std::uint64_t heap_below = 64 * 1024;
/// How often what is not used of it goes back to the system.
constexpr Duration memory_kept = 10s;

/// Borrows what lies on this host, fetches the rest, puts from the user's values.
class TransferLink final : public ValueLink {
 public:
  explicit TransferLink(Endpoint& endpoint)
      : endpoint_(endpoint),
        fetcher_(endpoint, [this](FetchId id, std::uint64_t total) { return place(id, total); }, {}, &borrower_),
        sender_(endpoint) {
    endpoint_.watch(borrower_.descriptor());
  }
  ~TransferLink() override { endpoint_.unwatch(borrower_.descriptor()); }

  void fetch(const Key& key, std::uint64_t bytes, std::vector<Location> locations, Time) override {
    FetchId id{++count_};
    fetches_[id] = Fetching{key, {}};
    fetcher_.start(weft::Fetch{.id = id, .key = key, .bytes = bytes, .locations = std::move(locations)});
  }
  void put(const Key& key, const Value& value, const Location& location, Time) override {
    FetchId id{++count_};
    puts_[id] = key;
    sender_.start(id, key, value.block(), location);
  }
  bool handle(EndpointEvent& event, Time now) override { return fetcher_.on_event(event, now) || sender_.on_event(event, now); }

  std::vector<Event> take(Time now) override {
    borrower_.serve(now);
    static_cast<void>(borrower_.take_unsure());  // what the user looks at cannot move
    fetcher_.serve(now);
    sender_.serve(now);
    std::vector<Event> events;
    for (FetchEnded& ended : fetcher_.take()) {
      Fetching fetch = std::move(fetches_.at(ended.id));
      fetches_.erase(ended.id);
      if (ended.failure.kind != ErrorKind::none) {
        events.push_back(FetchFailed{fetch.key, std::move(ended.failure)});
        continue;
      }
      auto value = Value::from(ended.borrowed ? std::move(ended.borrowed->bytes) : std::move(fetch.bytes));
      if (value) events.push_back(FetchDone{fetch.key, std::move(*value)});
      else events.push_back(FetchFailed{fetch.key, failure(ErrorKind::protocol_error, "a worker sent bytes that are no value")});
    }
    for (PutEnded& ended : sender_.take()) {
      Key key = puts_.at(ended.id);
      puts_.erase(ended.id);
      if (ended.failure.kind != ErrorKind::none) events.push_back(PutFailed{key, std::move(ended.failure)});
    }
    if (now >= memory_until_) {
      segments_.release_idle(segments_.idle_bytes());
      memory_until_ = segments_.leased_bytes() > 0 ? now + memory_kept : Time::never();
    }
    return events;
  }
  Time wake_at() const override {
    return std::min({fetcher_.wake_at(), sender_.wake_at(), borrower_.wake_at(), memory_until_});
  }

 private:
  struct Fetching {
    Key key;
    Buffer bytes;                        // its place, if it is not borrowed
  };
  Result<std::span<std::byte>> place(FetchId id, std::uint64_t total) {
    Fetching& fetch = fetches_.at(id);
    fetch.bytes = {};
    if (total >= heap_below) {
      auto lease = segments_.lease(total);
      if (!lease) return lease.error();
      if (memory_until_ == Time::never()) memory_until_ = monotonic_now() + memory_kept;
      std::span<std::byte> place = (*lease)->bytes();
      fetch.bytes = Buffer(std::move(*lease), place);
      return place;
    }
    auto block = std::make_shared<Bytes>(total);
    std::span<std::byte> place(*block);
    fetch.bytes = Buffer(std::move(block), place);
    return place;
  }

  Endpoint& endpoint_;
  Borrower borrower_;
  ValueFetcher fetcher_;
  ValueSender sender_;
  std::map<FetchId, Fetching> fetches_;
  std::map<FetchId, Key> puts_;
  Segments segments_;
  Time memory_until_ = Time::never();
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
