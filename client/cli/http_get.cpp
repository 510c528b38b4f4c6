#include "client/cli/http_get.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include <weft/error.h>

namespace weft::cli {

namespace {

constexpr std::size_t answer_max = 512u << 20;

struct Place {
  std::string host, port, prefix;
};

Place place_of(const std::string& url) {
  if (!url.starts_with("http://")) throw InvalidArgument('"' + url + "\" is no dashboard: write http://host:port/");
  std::string rest = url.substr(7);
  Place place{.host = rest.substr(0, rest.find('/')),
              .port = "80",
              .prefix = rest.find('/') == rest.npos ? "" : rest.substr(rest.find('/'))};
  while (place.prefix.ends_with('/')) place.prefix.pop_back();
  std::size_t colon = place.host.rfind(':'), bracket = place.host.rfind(']');
  if (colon != rest.npos && (bracket == rest.npos || colon > bracket)) {
    place.port = place.host.substr(colon + 1);
    place.host.resize(colon);
  }
  if (place.host.starts_with('[') && place.host.ends_with(']')) place.host = place.host.substr(1, place.host.size() - 2);
  return place;
}

class Connection {
 public:
  Connection(const Place& place, Duration timeout) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(place.host.c_str(), place.port.c_str(), &hints, &found) != 0) return;
    std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> hold(found, freeaddrinfo);
    for (addrinfo* at = found; at && socket_ < 0; at = at->ai_next) {
      socket_ = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
      if (socket_ < 0) continue;
      timeval limit{.tv_sec = timeout / 1s, .tv_usec = (timeout % 1s) / 1us};
      setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
      if (connect(socket_, at->ai_addr, at->ai_addrlen) == 0) return;
      close(socket_);
      socket_ = -1;
    }
  }
  ~Connection() {
    if (socket_ >= 0) close(socket_);
  }
  Connection(const Connection&) = delete;

  bool open() const { return socket_ >= 0; }
  bool send_all(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  /// To the end of the connection.
  bool read_all(std::string& out) {
    char buffer[65536];
    ssize_t size;
    while ((size = recv(socket_, buffer, sizeof buffer, 0)) > 0 && out.size() < answer_max)
      out.append(buffer, static_cast<std::size_t>(size));
    return size == 0;
  }

 private:
  int socket_ = -1;
};

}  // namespace

HttpAnswer http_get(const std::string& url, const std::string& target, const std::string& token, Duration timeout) {
  Place place = place_of(url);
  Connection connection(place, timeout);
  std::string host = place.host.find(':') != std::string::npos ? '[' + place.host + ']' : place.host;
  std::string request = "GET " + place.prefix + target + " HTTP/1.1\r\nHost: " + host + ':' + place.port +
                        "\r\nConnection: close\r\n" + (token.empty() ? "" : "Authorization: Bearer " + token + "\r\n") +
                        "\r\n";
  std::string text;
  bool answered = connection.open() && connection.send_all(request) && connection.read_all(text);
  std::size_t end = text.find("\r\n\r\n");
  if (!answered || !text.starts_with("HTTP/1.1 ") || end == text.npos)
    throw ConnectionFailed("no dashboard answers at " + url +
                           "; name it with --dashboard or --scheduler-file (weft-scheduler prints its link)");
  HttpAnswer answer{.status = std::atoi(text.c_str() + 9), .body = text.substr(end + 4)};
  std::string head = text.substr(0, end + 2);
  if (std::size_t at = head.find("Content-Type: "); at != head.npos)
    answer.type = head.substr(at + 14, head.find('\r', at) - at - 14);
  return answer;
}

}  // namespace weft::cli
