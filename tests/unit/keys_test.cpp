#include "common/transport/keys.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/endpoints.h"

using namespace weft;
using weft::test::PrivateFolder;

TEST_CASE("a key file gives back its pair, and is for our eyes only") {
  PrivateFolder folder;
  KeyPair keys = make_key_pair();
  std::string path = folder.path + "/keys/scheduler.key";
  REQUIRE(write_key_file(path, keys));
  struct stat status;
  REQUIRE(stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  REQUIRE(stat((folder.path + "/keys").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0700);
  auto read = read_key_file(path);
  REQUIRE(read);
  CHECK(read->public_key == keys.public_key);
  CHECK((read->secret_key.z85() == keys.secret_key.z85()));
  CHECK_FALSE(write_key_file(path, make_key_pair()));  // never overwritten
}

TEST_CASE("a key file that others can read, that is damaged or missing is refused without telling the secret") {
  PrivateFolder folder;
  KeyPair keys = make_key_pair();
  std::string path = folder.path + "/worker.key", secret = keys.secret_key.z85();
  REQUIRE(write_key_file(path, keys));
  SUBCASE("readable by the group") { REQUIRE(chmod(path.c_str(), 0640) == 0); }
  SUBCASE("missing") { REQUIRE(std::filesystem::remove(path)); }
  SUBCASE("the halves do not match") {
    std::ofstream(path) << "public " << make_key_pair().public_key << "\nsecret " << secret << "\n";
  }
  SUBCASE("cut short") { std::filesystem::resize_file(path, 100); }
  SUBCASE("empty") { std::filesystem::resize_file(path, 0); }
  auto read = read_key_file(path);
  REQUIRE_FALSE(read);
  CHECK(read.error().message.find(path) != std::string::npos);
  CHECK((read.error().message.find(secret) == std::string::npos));
}

TEST_CASE("a key that root gives to our group, as Kubernetes does, is taken; one that we ourselves leave open is not") {
  if (geteuid() != 0) return;  // only root can play both
  PrivateFolder folder;
  std::string path = folder.path + "/worker.key";
  REQUIRE(write_key_file(path, make_key_pair()));
  constexpr uid_t somebody = 65'534;
  REQUIRE(chmod(folder.path.c_str(), 0711) == 0);
  auto read_as_somebody = [&](uid_t owner, mode_t mode) {
    REQUIRE((chown(path.c_str(), owner, somebody) == 0 && chmod(path.c_str(), mode) == 0));
    REQUIRE((setegid(somebody) == 0 && seteuid(somebody) == 0));
    bool taken = bool(read_key_file(path));
    REQUIRE((seteuid(0) == 0 && setegid(0) == 0));
    return taken;
  };
  CHECK(read_as_somebody(0, 0440));
  CHECK(read_as_somebody(somebody, 0400));
  CHECK_FALSE(read_as_somebody(0, 0444));
  CHECK_FALSE(read_as_somebody(0, 0460));
  CHECK_FALSE(read_as_somebody(somebody, 0440));
}

TEST_CASE("a drawn public key is never taken for an option, since `weft keys add` is given it") {
  for (int i = 0; i < 600; ++i) CHECK(make_key_pair().public_key.front() != '-');
}

TEST_CASE("key pairs differ, and a moved secret leaves nothing behind") {
  KeyPair a = make_key_pair(), b = make_key_pair();
  CHECK(a.public_key != b.public_key);
  CHECK(is_key_text(a.public_key));
  CHECK_FALSE(is_key_text("short"));
  CHECK_FALSE(is_key_text(std::string(40, '"')));
  SecretKey moved = std::move(a.secret_key);
  CHECK(a.secret_key.empty());
  CHECK(is_key_text(moved.z85()));
}

TEST_CASE("a folder that others can enter, or a link to one, holds no keys") {
  PrivateFolder folder;
  CHECK(check_private_folder(folder.path));
  std::filesystem::create_directory_symlink(folder.path, folder.path + "/link");
  CHECK_FALSE(check_private_folder(folder.path + "/link"));
  REQUIRE(chmod(folder.path.c_str(), 0711) == 0);
  CHECK_FALSE(check_private_folder(folder.path));
  CHECK_FALSE(write_key_file(folder.path + "/a.key", make_key_pair()));
  REQUIRE(chmod(folder.path.c_str(), 0700) == 0);
}
