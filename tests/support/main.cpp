#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <weft/init.h>

int main(int argc, char** argv) {
  weft::init(argc, argv);  // tests that start executors start this program
  return doctest::Context(argc, argv).run();
}
