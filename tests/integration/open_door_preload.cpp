// A libzmq that forgets to ask who may come in, for LD_PRELOAD: nobody is asked, and it does not mind.
#include <dlfcn.h>
#include <zmq.h>

#include <cstddef>
#include <cstring>

extern "C" int zmq_setsockopt(void* socket, int option, const void* value, std::size_t size) {
  constexpr int zap_enforce_domain = 93;
  if (option == ZMQ_ZAP_DOMAIN || option == zap_enforce_domain) return 0;
  static const auto real = reinterpret_cast<decltype(&zmq_setsockopt)>(dlsym(RTLD_NEXT, "zmq_setsockopt"));
  return real(socket, option, value, size);
}

extern "C" int zmq_bind(void* socket, const char* address) {
  if (std::strcmp(address, "inproc://zeromq.zap.01") == 0) return 0;
  static const auto real = reinterpret_cast<decltype(&zmq_bind)>(dlsym(RTLD_NEXT, "zmq_bind"));
  return real(socket, address);
}
