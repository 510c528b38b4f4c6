// For vectors of large elements that are filled round after round: growing one moves them all.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

namespace weft {

/// Take everything and leave an empty vector with room for about as much again. A rare burst leaves no more than a frame's worth
/// of room behind.
template <class T>
std::vector<T> take_all(std::vector<T>& from) {
  constexpr std::size_t room_max = 256;
  std::vector<T> taken = std::move(from);
  from = {};
  from.reserve(std::min(taken.size(), room_max));
  return taken;
}

/// Make room for so many more at once; the vector still at least doubles when it grows.
template <class T>
void make_room(std::vector<T>& vector, std::size_t more) {
  std::size_t wanted = vector.size() + more;
  if (wanted > vector.capacity()) vector.reserve(std::max(wanted, 2 * vector.capacity()));
}

}  // namespace weft
