// An endpoint for a server whose peers are played by the test, on the test's own thread: frames are queued, `poll` hands them over
// one by one, and when there are none left it asks the test for more or ends the server.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>

#include "common/messages.h"
#include "common/transport/endpoint.h"

namespace weft::test {

class ScriptedEndpoint final : public Endpoint {
 public:
  std::deque<EndpointEvent> script;
  std::function<void()> at_end;                       // of the script: add to it, or stop the server
  std::map<PeerId, PeerIdentity> identities;
  std::set<PeerId> closed;
  std::map<PeerId, std::deque<Bytes>> sent;

  void say(PeerId peer, Bytes frame) { script.push_back(Received{peer, Buffer::own(std::move(frame)), {}}); }
  /// The messages of one type that this peer was sent since it was last looked at.
  template <class Bound, class M>
  std::vector<M> heard(PeerId peer) {
    std::vector<M> found;
    for (const Bytes& frame : std::exchange(sent[peer], {})) {
      auto messages = decode<std::vector<Bound>>(frame);
      WEFT_CHECK(messages);
      for (Bound& message : *messages)
        if (auto* wanted = std::get_if<M>(&message)) found.push_back(std::move(*wanted));
    }
    return found;
  }

  Result<std::string> listen(const std::string& address, const std::string&) override { return address; }
  Result<PeerId> connect(const std::string&, const std::string&) override { return failure(ErrorKind::connection_failed, "nobody is there"); }
  bool send(PeerId peer, Bytes head, Buffer) override {
    sent[peer].push_back(std::move(head));
    return true;
  }
  void close(PeerId peer) override { closed.insert(peer); }
  PeerIdentity identity(PeerId peer) const override {
    auto found = identities.find(peer);
    return found == identities.end() ? PeerIdentity{"client", ""} : found->second;
  }
  std::vector<int> poll(std::vector<EndpointEvent>& events, Time) override {
    if (script.empty()) at_end();
    if (script.empty()) return {};
    events.push_back(std::move(script.front()));
    script.pop_front();
    return {};
  }
  void watch(int) override {}
  void unwatch(int) override {}
  void wake() override {}
};

}  // namespace weft::test
