// What the actors of a simulation tell each other, as lines for whoever looks for a fault: `simulate --seeds 1 --seed S --log`.
#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "common/codec.h"
#include "weft/key.h"
#include "weft/type_tag.h"

namespace weft::simulation {

inline bool logged = false;

/// The fields of a message, in their order.
class FieldPrinter {
 public:
  template <class... T>
  void operator()(const T&... values) {
    (put(values), ...);
  }
  std::string text;

 private:
  template <class T>
  void put(const T& value) {
    if constexpr (std::is_same_v<T, Key>) add(value.hex().substr(0, 8));
    else if constexpr (std::is_same_v<T, std::string>) add('"' + value.substr(0, 60) + '"');
    else if constexpr (std::is_same_v<T, Bytes>) add(std::to_string(value.size()) + "B");
    else if constexpr (std::is_arithmetic_v<T>) add(std::to_string(value));
    else if constexpr (std::is_enum_v<T>) add(std::to_string(static_cast<long long>(value)));
    else if constexpr (codec_detail::Message<T>) group([&] { const_cast<T&>(value).fields(*this); });
    else if constexpr (requires { value.number; }) add(std::to_string(value.number));
    else if constexpr (requires { value.count(); value.zero(); }) add(std::to_string(value.count()) + "ns");
    else if constexpr (requires { value.begin(); value.begin()->first; }) add(std::to_string(value.size()) + " entries");
    else if constexpr (requires { value.begin(); value.size(); }) group([&] { for (const auto& element : value) put(element); });
    else add("...");
  }
  void add(const std::string& word) { text += ' ' + word; }
  template <class Inside>
  void group(Inside inside) {
    text += " {";
    inside();
    text += " }";
  }
};

template <class... M>
void log_message(Time now, const char* direction, const std::string& peer, const std::variant<M...>& message) {
  if (!logged) return;
  std::visit([&]<class T>(const T& value) {
    FieldPrinter fields;
    const_cast<T&>(value).fields(fields);
    std::string name(detail::type_name<T>());
    std::printf("%12.6f %s %s: %s%s\n", now.nanoseconds / 1e9, direction, peer.c_str(), name.substr(name.rfind(':') + 1).c_str(), fields.text.c_str());
  }, message);
}

}  // namespace weft::simulation
