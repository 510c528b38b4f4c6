// A user's program for the executor tests. As an executor it runs tasks; "silent" never becomes one; "quits" ends at once.
#include <cstring>

#include "tests/support/executor_functions.h"
#include "worker/executor_process.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "silent") == 0) pause();
  if (argc > 1 && std::strcmp(argv[1], "quits") == 0) return 5;
  if (const char* number = std::getenv("WEFT_EXECUTOR")) weft::worker::run_executor(std::atoi(number), weft::test::runtime());
  return 0;
}
