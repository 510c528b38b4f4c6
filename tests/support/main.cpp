// Every test program may be started as an executor of itself.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <weft/init.h>

int main(int argc, char** argv) {
  weft::init(argc, argv);
  return doctest::Context(argc, argv).run();
}
