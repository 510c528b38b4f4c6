// A browser's end for tests: raw requests, so that wrong ones can be sent too, and a WebSocket that reads when it is told to.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

namespace weft::test {

class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port, int receive_buffer = 0) : port_(port), socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer) setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    timeval patience{.tv_sec = 20};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    open_ = connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~HttpClient() { close(socket_); }
  HttpClient(const HttpClient&) = delete;

  /// Send these bytes; returns the status. The body is in `body`, the head in `head`.
  int request(const std::string& text) {
    send_all(text);
    std::string in;
    while (in.find("\r\n\r\n") == in.npos)
      if (!more(in)) return 0;
    std::size_t end = in.find("\r\n\r\n") + 4;
    head = in.substr(0, end);
    body = in.substr(end);
    int status = std::atoi(head.c_str() + 9);
    std::size_t at = head.find("Content-Length: ");
    std::size_t length = at == head.npos || text.starts_with("HEAD ") ? 0 : std::strtoul(head.c_str() + at + 16, nullptr, 10);
    while (status != 101 && body.size() < length)
      if (!more(body)) return 0;
    if (status == 101) rest_ = std::move(body);
    return status;
  }
  int get(const std::string& target, const std::string& headers = "") {
    return request("GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port_) + "\r\n" + headers + "\r\n");
  }
  nlohmann::json json(const std::string& target) {
    get(target);
    return nlohmann::json::parse(body, nullptr, false);
  }

  int open_websocket(const std::string& headers = "") {
    return get("/ws", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + headers);
  }
  void say(const std::string& text) {
    std::string frame = "\x81";
    if (text.size() < 126) frame += static_cast<char>(0x80 | text.size());
    else frame += static_cast<char>(0x80 | 126), frame += static_cast<char>(text.size() >> 8), frame += static_cast<char>(text.size());
    send_all(frame + std::string(4, '\0') + text);   // a mask of zeros changes nothing
  }
  /// The next message; empty when the connection ended. Opcode 1 text, 2 binary, 8 close.
  std::string hear(int* opcode = nullptr) {
    auto want = [&](std::size_t size) {
      while (rest_.size() < size)
        if (!more(rest_)) return false;
      return true;
    };
    if (!want(2)) return {};
    int code = rest_[0] & 15;
    std::size_t at = 2, size = rest_[1] & 127;
    if (size >= 126) {
      std::size_t bytes = size == 126 ? 2 : 8;
      if (!want(2 + bytes)) return {};
      size = 0;
      for (std::size_t i = 0; i < bytes; ++i) size = size << 8 | static_cast<unsigned char>(rest_[2 + i]);
      at += bytes;
    }
    if (!want(at + size)) return {};
    std::string message = rest_.substr(at, size);
    rest_.erase(0, at + size);
    if (opcode) *opcode = code;
    return code == 9 ? hear(opcode) : message;
  }
  bool more(std::string& to) {
    char buffer[65536];
    ssize_t size = recv(socket_, buffer, sizeof buffer, 0);
    if (size > 0) to.append(buffer, static_cast<std::size_t>(size));
    return size > 0;
  }
  void send_all(const std::string& text) { ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL); }
  bool is_open() const { return open_; }

  std::string head, body;

 private:
  std::uint16_t port_;
  int socket_;
  bool open_ = false;
  std::string rest_;
};

/// Of "http://HOST:PORT/…".
inline std::uint16_t port_of(const std::string& url) { return static_cast<std::uint16_t>(std::atoi(url.c_str() + url.rfind(':') + 1)); }

/// Asks for the largest pages and reads none of them.
inline std::unique_ptr<HttpClient> viewer_that_never_reads(std::uint16_t port) {
  auto viewer = std::make_unique<HttpClient>(port, 4096);
  viewer->open_websocket();
  viewer->say(
      R"({"sub":[{"id":1,"get":"/api/v1/tasks?limit=10000","hz":10},{"id":2,"get":"/api/v1/stream?px=4000","hz":10},{"id":3,"get":"/api/v1/overview","hz":10}]})");
  return viewer;
}

}  // namespace weft::test
