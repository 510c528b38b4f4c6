// The exit codes of every Weft program, one table, as in sysexits.h. Scripts may rely on them.
#pragma once

#include <weft/error.h>

namespace weft::exit_code {

inline constexpr int ok = 0;
inline constexpr int failure = 1;         // the work itself failed: a task's error, a check that does not hold
inline constexpr int usage = 64;          // unknown option, bad value, wrong number of arguments
inline constexpr int bad_data = 65;       // an input file is not what it should be
inline constexpr int no_input = 66;       // an input file is missing or unreadable
inline constexpr int no_host = 68;        // an address or a host name that leads nowhere
inline constexpr int unavailable = 69;    // nobody answers there, a port is in use, or a needed program is missing
inline constexpr int software = 70;       // a bug in Weft
inline constexpr int os_error = 71;       // the system refused: no process, no descriptor, no memory
inline constexpr int cannot_create = 73;  // a file or folder cannot be written
inline constexpr int io_error = 74;       // reading or writing failed; a damaged store
inline constexpr int try_again = 75;      // it may work later: a timeout
inline constexpr int protocol = 76;       // the peer speaks another protocol
inline constexpr int refused = 77;        // the key is not allowed there
inline constexpr int configuration = 78;  // a configuration file is wrong
inline constexpr int interrupted = 130;   // Ctrl-C

/// The exit code with which a program ends because of this kind of error.
constexpr int of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::none:
      return ok;
    case ErrorKind::invalid_argument:
      return usage;
    case ErrorKind::connection_failed:
    case ErrorKind::worker_unavailable:
    case ErrorKind::program_error:
      return unavailable;
    case ErrorKind::wait_timeout:
      return try_again;
    case ErrorKind::io_error:
      return io_error;
    case ErrorKind::protocol_error:
      return protocol;
    default:
      return failure;
  }
}

}  // namespace weft::exit_code
