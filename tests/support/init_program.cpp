// A user's program for the tests of weft::init; its first argument says what main does wrong.
#include <cstdio>
#include <cstring>

#include <weft/weft.h>

static int from_hook = 0;

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "";
  weft::on_executor_start([] { from_hook = 7; });
  if (std::strcmp(mode, "with-init") == 0) weft::init(argc, argv);
  try {
    weft::Client client("tcp://127.0.0.1:1", {.connect_timeout = std::chrono::milliseconds(1)});
    std::puts("made a client");
  } catch (const weft::Error& error) {
    std::puts(error.what());
  }
  try {
    weft::on_executor_start([] {});
    std::puts("a late hook was taken");
  } catch (const weft::InvalidArgument& error) {
    std::puts("a late hook was refused");
  }
  std::printf("hooks ran in the user's program: %s\n", from_hook == 7 ? "yes" : "no");
  return 0;
}
