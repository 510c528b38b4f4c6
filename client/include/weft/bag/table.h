// Hash tables of by-key operations: keys in order of first appearance with a state each, and the form in which they travel. The
// hash is our own, so that a key belongs to the same reducer in every process. Internal.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <weft/stream.h>

namespace weft::detail {

inline std::uint64_t mix_hash(std::uint64_t a, std::uint64_t b) {
  unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}
/// Source: the multiply-and-fold step of wyhash (Wang Yi, public domain).
inline std::uint64_t hash_bytes(const void* data, std::size_t size) {
  constexpr std::uint64_t a = 0xa0761d6478bd642f, b = 0xe7037ed1a0b428db;
  auto at = static_cast<const unsigned char*>(data);
  auto word = [](const unsigned char* from) {
    std::uint64_t value;
    std::memcpy(&value, from, 8);
    return value;
  };
  std::uint64_t hash = size ^ a;
  std::size_t left = size;
  for (; left > 16; left -= 16, at += 16) hash = mix_hash(word(at) ^ a ^ hash, word(at + 8) ^ b);
  std::uint64_t first = 0, second = 0;
  if (left >= 8) {
    first = word(at);
    second = word(at + left - 8);
  } else if (left >= 4) {
    std::uint32_t low, high;
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + left - 4, 4);
    first = low;
    second = high;
  } else if (left > 0) {
    first = at[0] | at[left / 2] << 8 | at[left - 1] << 16;
  }
  return mix_hash(mix_hash(first ^ a ^ hash, second ^ b), size ^ b);
}

/// Keys that compare equal must be encoded equally (numbers, text, and what is made of them are).
template <class K>
std::uint64_t hash_key(const K& key) {
  if constexpr (std::is_integral_v<K> || std::is_enum_v<K>) {
    return mix_hash(static_cast<std::uint64_t>(key) ^ 0x9e3779b97f4a7c15, 0xe7037ed1a0b428db);
  } else if constexpr (std::is_floating_point_v<K>) {
    double number = static_cast<double>(key == 0 ? K(0) : key);   // 0.0 == -0.0
    return hash_bytes(&number, sizeof number);
  } else if constexpr (std::is_convertible_v<const K&, std::string_view>) {
    std::string_view text = key;
    return hash_bytes(text.data(), text.size());
  } else {
    Writer writer(Writer::Layout::flat);
    writer.put(key);
    return hash_bytes(writer.stream().data(), writer.stream().size());
  }
}
/// Which of `parts` a hash belongs to; uses other bits than the tables do.
inline std::size_t part_of(std::uint64_t hash, std::size_t parts) {
  return static_cast<std::size_t>((hash >> 32) * parts >> 32);
}

/// Keys with their states as they travel; text lies in one piece.
template <class K, class S>
struct Batch {
  std::vector<K> keys;
  std::vector<S> states;

  template <class Q>
  void add(Q&& key, S&& state) {
    keys.push_back(std::forward<Q>(key));
    states.push_back(std::move(state));
  }
  template <class F>
  void drain(F&& f) {
    for (std::size_t i = 0; i < states.size(); ++i) f(std::move(keys[i]), std::move(states[i]));
  }
};
template <class S>
struct Batch<std::string, S> {
  std::string text;
  std::vector<std::uint32_t> sizes;
  std::vector<S> states;

  void add(std::string_view key, S&& state) {
    text.append(key);
    sizes.push_back(static_cast<std::uint32_t>(key.size()));
    states.push_back(std::move(state));
  }
  template <class F>
  void drain(F&& f) {
    std::size_t at = 0, count = 0;
    for (std::uint32_t size : sizes) {
      if (text.size() - at < size || count == states.size()) damaged("a batch of keys is not whole");
      f(std::string_view(text).substr(at, size), std::move(states[count++]));
      at += size;
    }
  }
};

/// Where a table's keys lie: by themselves, or text in one growing piece.
template <class K>
class KeyStore {
 public:
  struct Place {
    K key;
  };
  template <class Q>
  Place put(Q&& key) {
    return {K(std::forward<Q>(key))};
  }
  K&& take(Place& place) { return std::move(place.key); }
  template <class Q>
  bool equal(const Place& place, const Q& key) const {
    return place.key == key;
  }
};
template <>
class KeyStore<std::string> {
 public:
  struct Place {
    std::size_t offset;
    std::uint32_t size;
  };
  Place put(std::string_view key) {
    if (key.size() > 0xffffffff) throw InvalidArgument("a key has more than 4 GiB of text");
    Place place{text_.size(), static_cast<std::uint32_t>(key.size())};
    text_.append(key);
    return place;
  }
  std::string_view take(const Place& place) const { return {text_.data() + place.offset, place.size}; }
  bool equal(const Place& place, std::string_view key) const {
    return place.size == key.size() && std::memcmp(text_.data() + place.offset, key.data(), key.size()) == 0;
  }

 private:
  std::string text_;
};

/// Open addressing over entries in order of first appearance; at most half full, so a probe is short.
template <class K, class S>
class Table {
 public:
  Table() : slots_(64) {}

  /// Find the key's state. If it is new, `start()` makes the state; otherwise `update(state)`.
  template <class Q, class Start, class Update>
  void put(Q&& key, Start&& start, Update&& update) {
    std::uint64_t hash = hash_key(key);
    auto tag = static_cast<std::uint32_t>(hash >> 32);
    std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
      Slot& slot = slots_[at];
      if (slot.entry == 0) {
        if (entries_.size() >= 0xfffffffe) throw InvalidArgument("one partition has more than 4 billion keys; use more partitions");
        auto place = keys_.put(std::forward<Q>(key));   // before start() takes the element apart
        entries_.push_back({hash, std::move(place), start()});
        slot = {tag, static_cast<std::uint32_t>(entries_.size())};
        if (2 * entries_.size() > slots_.size()) grow();
        return;
      }
      Entry& entry = entries_[slot.entry - 1];
      if (slot.tag == tag && keys_.equal(entry.place, key)) return update(entry.state);
    }
  }
  /// The state of a key, or null.
  template <class Q>
  S* find(const Q& key) {
    std::uint64_t hash = hash_key(key);
    for (std::size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      if (slots_[at].entry == 0) return nullptr;
      Entry& entry = entries_[slots_[at].entry - 1];
      if (entry.hash == hash && keys_.equal(entry.place, key)) return &entry.state;
    }
  }
  std::size_t size() const { return entries_.size(); }
  /// Call f(hash, key, state) in order of first appearance; the table is used up.
  template <class F>
  void drain(F&& f) {
    for (Entry& entry : entries_) f(entry.hash, keys_.take(entry.place), std::move(entry.state));
  }

 private:
  struct Entry {
    std::uint64_t hash;
    typename KeyStore<K>::Place place;
    S state;
  };
  struct Slot {
    std::uint32_t tag = 0;
    std::uint32_t entry = 0;   // number + 1; 0 is free
  };
  void grow() {
    std::vector<Slot> larger(4 * slots_.size());
    std::size_t mask = larger.size() - 1;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      std::size_t at = entries_[i].hash & mask;
      while (larger[at].entry != 0) at = (at + 1) & mask;
      larger[at] = {static_cast<std::uint32_t>(entries_[i].hash >> 32), static_cast<std::uint32_t>(i + 1)};
    }
    slots_ = std::move(larger);
  }

  std::vector<Slot> slots_;
  std::vector<Entry> entries_;
  KeyStore<K> keys_;
};

}  // namespace weft::detail
