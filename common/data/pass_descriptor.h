// Descriptors over a Unix socket (SCM_RIGHTS), each beside a short note.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>

namespace weft {

/// Whether the process at the other end of a Unix socket is of our user. Others get no memory of ours, and give us none.
bool is_ours(int socket);

/// Send a note, and a descriptor unless it is -1; never blocks. Returns false and sets errno.
bool send_descriptor(int socket, std::span<const std::byte> note, int descriptor);

/// Bytes of the note read, or -1 and errno; `descriptor` is -1 if none came. The caller closes it.
ssize_t receive_descriptor(int socket, std::span<std::byte> note, int& descriptor, int flags);

}  // namespace weft
