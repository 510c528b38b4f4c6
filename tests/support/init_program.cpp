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
    weft::Client client("tcp://127.0.0.1:1");
    std::puts("made a client");
    weft::on_executor_start([] {});
  } catch (const weft::Error& error) {
    std::puts(error.what());
  }
  std::printf("hooks ran in the user's program: %s\n", from_hook == 7 ? "yes" : "no");
  return 0;
}
