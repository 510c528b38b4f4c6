// What only holds between processes: keys, folders, limits, and peers that die or lie.
#include <doctest/doctest.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cstdio>
#include <fstream>

#include "common/transport/zeromq_socket.h"
#include "support/endpoints.h"

using namespace weft;
using namespace weft::test;

namespace {

Side side(ZeromqOptions options) { return {make_zeromq_endpoint(options), {}}; }

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// A listener that lets one key in for each role.
struct Guarded {
  KeyPair keys = make_key_pair();
  KeyPair client = make_key_pair();
  KeyPair worker = make_key_pair();
  std::vector<std::string> asked;
  Side server;
  std::string client_address, worker_address;

  Guarded() {
    ZeromqOptions options{.keys = keys};
    options.allow = [this](const std::string& role, const std::string& key) {
      asked.push_back(key);
      return key == (role == "client" ? client : worker).public_key;
    };
    server = side(options);
    client_address = *server.endpoint->listen("tcp://127.0.0.1:0", "client");
    worker_address = *server.endpoint->listen("tcp://127.0.0.1:0", "worker");
    asked.clear();
  }

  /// Connect with these keys, say something, and return why that was lost; "welcome" if it was not.
  std::string try_in(const std::string& address, const ZeromqOptions& options) {
    Side stranger = side(options);
    auto peer = stranger.endpoint->connect(address);
    if (!peer) return peer.error().message;
    stranger.endpoint->send(*peer, bytes("let me in"));
    auto before = server.all<Received>().size();
    until({&server, &stranger},
          [&] { return server.all<Received>().size() > before || !stranger.lost(*peer).empty(); });
    return server.all<Received>().size() > before ? "welcome" : stranger.lost(*peer);
  }
};

// A story told by another process: `contract_tests -tc="child: *" -ns` with WEFT_CHILD set by `Child`.
struct Child {
  pid_t pid = -1;
  int out = -1;

  explicit Child(const std::vector<std::string>& words) {
    std::string joined;
    for (const auto& word : words) joined += word + "\n";
    std::string environment = "WEFT_CHILD=" + joined;
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    pid = fork();
    if (pid == 0) {
      dup2(pipe_ends[1], STDERR_FILENO);
      const char* arguments[] = {"contract_tests", "-tc=child: an endpoint in its own process", "-ns", nullptr};
      const char* environments[] = {environment.c_str(), nullptr};
      execve("/proc/self/exe", const_cast<char**>(arguments), const_cast<char**>(environments));
      _exit(127);
    }
    ::close(pipe_ends[1]);
    out = pipe_ends[0];
  }
  ~Child() {
    kill_now();
    ::close(out);
  }
  std::string line() {
    std::string text;
    for (char c; read(out, &c, 1) == 1 && c != '\n';) text += c;
    return text;
  }
  void kill_now() {
    if (pid > 0) kill(pid, SIGKILL), waitpid(pid, nullptr, 0);
    pid = -1;
  }
};

}  // namespace

TEST_CASE("child: an endpoint in its own process" * doctest::skip()) {
  const char* told = getenv("WEFT_CHILD");
  if (!told) return;
  std::vector<std::string> words;
  for (std::string rest = told; !rest.empty(); rest.erase(0, rest.find('\n') + 1)) words.push_back(rest.substr(0, rest.find('\n')));
  ZeromqOptions options;
  options.allow = [](auto&, auto&) { return true; };
  options.keys = make_key_pair();
  Side me = side(options);
  if (words[0] == "listen") {
    auto address = me.endpoint->listen(words[1], "guest");
    std::fprintf(stderr, "%s\n%s\n", address->c_str(), options.keys.public_key.c_str());
  } else {
    auto peer = me.endpoint->connect(words[1], words.size() > 2 ? words[2] : "");
    me.endpoint->send(*peer, bytes("hello"));
  }
  for (;;) me.endpoint->poll(me.events, Time::never());
}

TEST_CASE("libzmq's own heartbeats are off: their timer aborts the process when a peer is gone whose last frames wait for room") {
  zeromq::Context context(1);
  zeromq::Socket socket(context, ZMQ_ROUTER);
  set_limits(socket, {.frame_bytes_max = 1000, .receive_frames_max = 10, .linger_ms = 0});
  CHECK(socket.get(ZMQ_HEARTBEAT_IVL) == 0);
  CHECK(socket.get(ZMQ_TCP_MAXRT) > 0);  // instead
}

TEST_CASE("a killed process is lost at once, on both sides, over ipc and tcp") {
  PrivateFolder folder;
  KeyPair keys = make_key_pair();
  ZeromqOptions options{.keys = keys};
  options.allow = [](auto&, auto&) { return true; };
  Side here = side(options);
  std::string place = "tcp://127.0.0.1:0";
  SUBCASE("ipc") { place = "ipc://" + folder.path; }
  SUBCASE("tcp") {}

  std::string address = *here.endpoint->listen(place, "guest");
  Child caller({"connect", address, keys.public_key});
  Child listener({"listen", place});
  std::string there = listener.line();
  PeerId listening = *here.endpoint->connect(there, listener.line());
  REQUIRE(here.endpoint->send(listening, bytes("hello")));
  until({&here}, [&] { return here.heard("hello"); });
  PeerId calling = here.all<Received>()[0]->peer;
  caller.kill_now();
  listener.kill_now();
  Time killed = monotonic_now();
  until({&here}, [&] { return !here.lost(calling).empty() && !here.lost(listening).empty(); });
  CHECK((monotonic_now() - killed) < 1s);  // by the system's word, not by a heartbeat of six
  CHECK_FALSE(here.endpoint->send(calling, bytes("late")));
  CHECK_FALSE(here.endpoint->send(listening, bytes("late")));
}

TEST_CASE("only the right key on the right port gets in, and the others are told why") {
  Guarded guarded;
  ZeromqOptions client{.keys = guarded.client, .server_key = guarded.keys.public_key};
  ZeromqOptions worker{.keys = guarded.worker, .server_key = guarded.keys.public_key};
  CHECK(guarded.try_in(guarded.client_address, client) == "welcome");
  CHECK(guarded.try_in(guarded.worker_address, worker) == "welcome");
  CHECK(contains(guarded.try_in(guarded.client_address, worker), "our key is not on its list"));
  CHECK(contains(guarded.try_in(guarded.worker_address, client), "our key is not on its list"));

  ZeromqOptions rogue{.server_key = guarded.keys.public_key};
  CHECK(contains(guarded.try_in(guarded.client_address, rogue), "our key is not on its list"));

  ZeromqOptions misled{.keys = guarded.client, .server_key = make_key_pair().public_key};
  auto asked = guarded.asked.size();
  CHECK(contains(guarded.try_in(guarded.client_address, misled), "is its key the one we were told"));
  CHECK(guarded.asked.size() == asked);

  ZeromqOptions plain;
  plain.clear_values = true;
  CHECK(contains(guarded.try_in(guarded.client_address, plain), "does it want a key"));

  ZeromqOptions keyless{.keys = guarded.client};
  CHECK(contains(guarded.try_in(guarded.client_address, keyless), "needs the public key"));
}

TEST_CASE("a listener without an allow-list lets nobody in") {
  KeyPair keys = make_key_pair();
  Side server = side({.keys = keys}), client = side({.server_key = keys.public_key});
  auto peer = client.endpoint->connect(*server.endpoint->listen("tcp://127.0.0.1:0", "client"));
  until({&server, &client}, [&] { return !client.lost(*peer).empty(); });
  CHECK(server.events.empty());
}

TEST_CASE("an encrypting client refuses a listener in clear") {
  ZeromqOptions clear;
  clear.clear_values = true;
  Side server = side(clear), client = side({.server_key = make_key_pair().public_key});
  auto peer = client.endpoint->connect(*server.endpoint->listen("tcp://127.0.0.1:0", "value"));
  client.endpoint->send(*peer, bytes("secret"));
  until({&server, &client}, [&] { return !client.lost(*peer).empty(); });
  CHECK(server.events.empty());
}

TEST_CASE("values in clear pass between two who both chose it, with their role") {
  ZeromqOptions clear;
  clear.clear_values = true;
  Side server = side(clear), client = side(clear);
  auto peer = client.endpoint->connect(*server.endpoint->listen("tcp://127.0.0.1:0", "value"));
  client.endpoint->send(*peer, bytes("open"));
  until({&server, &client}, [&] { return server.heard("open"); });
  CHECK(server.endpoint->identity(server.all<Received>()[0]->peer).role == "value");
}

TEST_CASE("while the listener's loop stands still nobody gets in; when it goes on they do") {
  Guarded guarded;
  Side client = side({.keys = guarded.client, .server_key = guarded.keys.public_key});
  auto peer = client.endpoint->connect(guarded.client_address);
  client.endpoint->send(*peer, bytes("patience"));
  for (int i = 0; i < 50; ++i) client.poll();
  CHECK(client.events.empty());
  until({&guarded.server, &client}, [&] { return guarded.server.heard("patience"); });
}

TEST_CASE("a frame above the limit cuts its sender and nobody else") {
  PrivateFolder folder;
  ZeromqOptions small;
  small.frame_bytes_max = 100'000;
  Side server = side(small), good = side({}), bad = side({});
  std::string address = *server.endpoint->listen("ipc://" + folder.path, "guest");
  PeerId from_good = *good.endpoint->connect(address), from_bad = *bad.endpoint->connect(address);
  good.endpoint->send(from_good, bytes("good"), Buffer::own(Bytes(100'000)));
  bad.endpoint->send(from_bad, bytes("bad"));
  until({&server, &good, &bad}, [&] { return server.heard("good") && server.heard("bad"); });
  bad.endpoint->send(from_bad, bytes("too much"), Buffer::own(Bytes(100'001)));
  until({&server, &bad}, [&] { return !bad.lost(from_bad).empty() && server.all<PeerLost>().size() == 1; });
  CHECK_FALSE(server.heard("too much"));
  good.endpoint->send(from_good, bytes("still here"));
  until({&server, &good}, [&] { return server.heard("still here"); });
}

TEST_CASE("bytes that are no handshake disturb nobody") {
  Guarded guarded;
  Side client = side({.keys = guarded.client, .server_key = guarded.keys.public_key});
  auto peer = client.endpoint->connect(guarded.client_address);
  std::vector<int> liars;
  for (int i = 0; i < 50; ++i) {
    sockaddr_in address{.sin_family = AF_INET};
    int port = std::stoi(guarded.client_address.substr(guarded.client_address.rfind(':') + 1));
    address.sin_port = htons(std::uint16_t(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    liars.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(liars.back(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    std::string lie = i % 2 ? "GET / HTTP/1.1\r\nHost: weft\r\n\r\n" : std::string(5000, char(i * 7));
    CHECK(::send(liars.back(), lie.data(), lie.size(), MSG_NOSIGNAL) > 0);
    if (i % 3 == 0) ::close(liars.back()), liars.pop_back();
  }
  client.endpoint->send(*peer, bytes("undisturbed"));
  until({&guarded.server, &client}, [&] { return guarded.server.heard("undisturbed"); });
  for (int liar : liars) ::close(liar);
  PeerId here = guarded.server.all<Received>()[0]->peer;
  for (int i = 0; i < 50; ++i) guarded.server.poll();
  CHECK(guarded.server.events.size() == 1);
  CHECK(guarded.server.endpoint->send(here, bytes("still there?")));
}

TEST_CASE("a folder that others can enter is refused at both ends, and so is a path too long for a socket") {
  PrivateFolder folder;
  Side server = side({}), client = side({});
  std::string address = *server.endpoint->listen("ipc://" + folder.path, "guest");
  REQUIRE(chmod(folder.path.c_str(), 0750) == 0);
  auto listened = side({}).endpoint->listen("ipc://" + folder.path, "guest");
  REQUIRE_FALSE(listened);
  CHECK(contains(listened.error().message, "chmod 700"));
  CHECK_FALSE(client.endpoint->connect(address));
  REQUIRE(chmod(folder.path.c_str(), 0700) == 0);
  CHECK(client.endpoint->connect(address));
  CHECK(contains(server.endpoint->listen("ipc://" + folder.path + "/" + std::string(120, 'n'), "guest").error().message, "too long"));
}

TEST_CASE("a socket file left by a dead process is taken over") {
  PrivateFolder folder;
  std::string address;
  {
    Child dead({"listen", "ipc://" + folder.path + "/scheduler"});
    address = dead.line();
  }
  REQUIRE(std::filesystem::exists(folder.path + "/scheduler"));
  Side server = side({}), client = side({});
  REQUIRE(server.endpoint->listen(address, "guest"));
  auto peer = client.endpoint->connect(address);
  client.endpoint->send(*peer, bytes("hello"));
  until({&server, &client}, [&] { return server.heard("hello"); });
  server.endpoint.reset();
  CHECK_FALSE(std::filesystem::exists(folder.path + "/scheduler"));
}

TEST_CASE("addresses that mean nothing are refused with a sentence") {
  Side one = side({.server_key = make_key_pair().public_key});
  for (std::string address : {"", "tcp://", "tcp://host", "tcp://host:", "tcp://host:99999", "tcp://host:80x", "udp://host:1", "ipc://"}) {
    CAPTURE(address);
    CHECK_FALSE(one.endpoint->listen(address, "guest"));
    CHECK_FALSE(one.endpoint->connect(address));
  }
  CHECK_FALSE(one.endpoint->connect("tcp://127.0.0.1:0"));
  CHECK_FALSE(one.endpoint->listen("tcp://192.0.2.1:0", "guest"));  // not an address of this machine
  CHECK_FALSE(one.endpoint->listen("tcp://127.0.0.1:0", "two words"));
}

TEST_CASE("a server that accepts and stays silent is lost after the connect timeout") {
  int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(bind(silent, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(silent, 5) == 0);
  REQUIRE(getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  ZeromqOptions options;
  options.server_key = make_key_pair().public_key;
  options.connect_timeout = 200ms;
  Side client = side(options);
  auto peer = client.endpoint->connect("tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port)));
  until({&client}, [&] { return !client.lost(*peer).empty(); });
  CHECK(client.lost(*peer).ends_with("in time"));
  ::close(silent);
}

TEST_CASE("a host that nobody knows is told from one that does not answer") {
  ZeromqOptions options;
  options.server_key = make_key_pair().public_key;
  options.connect_timeout = 200ms;
  Side client = side(options);
  auto peer = client.endpoint->connect("tcp://nohost.invalid:8786");
  until({&client}, [&] { return !client.lost(*peer).empty(); });
  CHECK(contains(client.lost(*peer), "no such host was found"));
}

namespace {

/// A foreign program that may come in, and then does as it likes.
struct Foreigner {
  void* context = zmq_ctx_new();
  void* dealer = zmq_socket(context, ZMQ_DEALER);
  void* monitor = zmq_socket(context, ZMQ_PAIR);

  explicit Foreigner(const std::string& address, const std::string& routing_id = "0123456789abcdef") {
    int none = 0, never = -1;
    zmq_setsockopt(dealer, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(dealer, ZMQ_RECONNECT_IVL, &never, sizeof never);
    zmq_setsockopt(dealer, ZMQ_ROUTING_ID, routing_id.data(), routing_id.size());
    zmq_socket_monitor(dealer, "inproc://foreigner", ZMQ_EVENT_DISCONNECTED);
    zmq_connect(monitor, "inproc://foreigner");
    REQUIRE(zmq_connect(dealer, address.c_str()) == 0);
  }
  ~Foreigner() {
    zmq_socket_monitor(dealer, nullptr, 0);
    zmq_close(monitor);
    zmq_close(dealer);
    zmq_ctx_term(context);
  }
  void say(std::initializer_list<std::string_view> parts) {
    for (auto part = parts.begin(); part != parts.end(); ++part)
      zmq_send(dealer, part->data(), part->size(), part + 1 == parts.end() ? 0 : ZMQ_SNDMORE);
  }
  bool cut_off() {
    char event[6];
    return zmq_recv(monitor, event, sizeof event, ZMQ_DONTWAIT) > 0;
  }
};

}  // namespace

TEST_CASE("a peer that sends three parts is lost and cut, and others notice nothing") {
  PrivateFolder folder;
  Side server = side({}), good = side({});
  std::string address = *server.endpoint->listen("ipc://" + folder.path, "guest");
  PeerId from_good = *good.endpoint->connect(address);
  good.endpoint->send(from_good, bytes("good"));
  Foreigner bad(address);
  bad.say({"one", "two", "three"});
  until({&server, &good}, [&] { return server.heard("good") && bad.cut_off(); });
  CHECK(server.all<Received>().size() == 1);
  REQUIRE(server.all<PeerLost>().size() == 1);
  CHECK(contains(server.all<PeerLost>()[0]->reason, "no peer may send"));
  good.endpoint->send(from_good, bytes("still here"));
  until({&server, &good}, [&] { return server.heard("still here"); });
}

TEST_CASE("a peer that does not answer a goodbye is cut") {
  PrivateFolder folder;
  Side server = side({});
  Foreigner stubborn(*server.endpoint->listen("ipc://" + folder.path, "guest"));
  stubborn.say({"hello"});
  until({&server}, [&] { return server.heard("hello"); });
  server.endpoint->close(server.all<Received>()[0]->peer);
  stubborn.say({"I am still here"});
  until({&server}, [&] { return stubborn.cut_off(); });
  CHECK(server.events.size() == 1);
}

TEST_CASE("a peer with another kind of routing id, or an empty frame, gets no answer and does no harm") {
  PrivateFolder folder;
  Side server = side({});
  std::string address = *server.endpoint->listen("ipc://" + folder.path, "guest");
  Foreigner odd(address, "odd"), empty(address);
  odd.say({"hello"});
  empty.say({""});
  empty.say({"", "goodbye?"});
  empty.say({"hello"});
  until({&server}, [&] { return server.heard("hello"); });
  CHECK(server.events.size() == 1);
}
