// Tasks that break what they can. Only for the checks.
#pragma once

#include <string>

namespace weft::reliability {

int crash(int number);
int spin(int number);
/// Touches as many bytes of new memory as asked for.
int allocate(int number, std::uint64_t bytes);
/// Never frees the MiB that it takes.
int leak(int number);

/// The ways in which a function can end that is not a return.
enum class Exit { standard, integer, nested, long_text, strange_bytes, terminate, exit_0, exit_3, quick_exit, abort, jump, destructor, noexcept_throw, bad_alloc, count };
int end_badly(int way);

}  // namespace weft::reliability
