// A user's program, built in every way in which a user may build one. Switch it to <weft/weft.h> and a LocalCluster here.
#include <iostream>

#include <weft/error.h>
#include <weft/key.h>
#include <weft/version.h>

int main() {
  std::cout << "weft " << WEFT_VERSION_STRING << "\n";
  weft::Key key = weft::Key::named("consumer");
  std::cout << (weft::Key::from_hex(key.hex()) == key ? "a key survives its text\n" : "a key is lost\n");
  try {
    weft::throw_failure({.kind = weft::ErrorKind::data_lost, .message = "all holders are gone"});
  } catch (const weft::DataLost& error) {
    std::cout << "caught " << weft::name_of(error.kind()) << "\n";
  }
}
