// The doorman (ZAP, rfc.zeromq.org/spec/27): libzmq asks it about every handshake. It is answered inside the endpoint's own
// loop, so the allow-list needs no lock and there is no second thread whose death could leave a door open: while nobody
// answers, handshakes wait and then fail. Private to zeromq*.cpp.
#pragma once

#include <functional>
#include <string>

#include "common/result.h"
#include "common/transport/keys.h"
#include "common/transport/zeromq_socket.h"

namespace weft::zeromq {

using Allow = std::function<bool(const std::string& role, const std::string& public_key)>;

class Doorman {
 public:
  /// Must exist before the first socket that listens.
  Doorman(const Context& context, Allow allow);

  /// Answer all questions that are there.
  void answer();
  int descriptor() const { return socket_.descriptor(); }

  /// Let everybody in by this socket's next bind under `role`; with keys, only those who prove an allowed one.
  static void guard(Socket& listener, const std::string& role, const KeyPair* keys);
  /// Prove that this libzmq asks us and obeys: a stranger at a socket guarded like ours must be refused.
  Result<void> self_test(const Context& context, const KeyPair& keys);

 private:
  Socket socket_;
  Allow allow_;
  std::string stranger_;  // the key of a self-test
};

}  // namespace weft::zeromq
