#include "common/credentials.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "common/process.h"
#include "common/scheduler_file.h"
#include "support/endpoints.h"

using namespace weft;
namespace fs = std::filesystem;

namespace {

/// The variables that decide where keys are, put back at the end.
class Variables {
 public:
  Variables() {
    for (const char* name : names_) {
      const char* value = std::getenv(name);
      before_.push_back(value ? std::optional<std::string>(value) : std::nullopt);
      unsetenv(name);
    }
  }
  ~Variables() {
    for (std::size_t i = 0; i < before_.size(); ++i)
      if (before_[i]) setenv(names_[i], before_[i]->c_str(), 1);
      else unsetenv(names_[i]);
  }

 private:
  static constexpr const char* names_[] = {"WEFT_ADDRESS", "WEFT_KEYS", "WEFT_SCHEDULER_FILE", "XDG_CONFIG_HOME", "HOME"};
  std::vector<std::optional<std::string>> before_;
};

constexpr const char* address = "tcp://127.0.0.1:8786";

std::string why_not(const Result<Credentials>& found) { return found ? "found" : found.error().message; }

}  // namespace

TEST_CASE("a key folder is made once, whole and private") {
  test::PrivateFolder place;
  KeyFolder folder(place.path + "/deep/keys");
  auto scheduler = folder.scheduler_keys();
  REQUIRE_MESSAGE(scheduler, scheduler.error().message);
  CHECK(fs::status(folder.path()).permissions() == fs::perms::owner_all);
  CHECK(folder.scheduler_keys()->public_key == scheduler->public_key);
  CHECK_FALSE(folder.init());
  auto list = folder.authorized();
  REQUIRE(list);
  auto client = read_key_file(folder.path() + "/client.key"), worker = read_key_file(folder.path() + "/worker.key");
  CHECK(list->allows("client", client->public_key, 0));
  CHECK(list->allows("worker", worker->public_key, 0));
  CHECK_FALSE(list->allows("client", worker->public_key, 0));
  CHECK_FALSE(list->allows("worker", client->public_key, 0));
  CHECK_FALSE(list->allows("client", scheduler->public_key, 0));
}

TEST_CASE("a key folder without the scheduler's key, or into which others can write, is refused and left as it is") {
  test::PrivateFolder place;
  KeyFolder folder(place.path + "/keys");
  REQUIRE(folder.scheduler_keys());
  REQUIRE(folder.add("client", "bob"));
  std::string client = read_key_file(folder.path() + "/client.key")->public_key;
  fs::permissions(folder.path(), fs::perms::all);
  auto open_to_all = folder.scheduler_keys();
  REQUIRE_FALSE(open_to_all);
  CHECK(open_to_all.error().message.find("chmod 700") != std::string::npos);
  fs::permissions(folder.path(), fs::perms::all | fs::perms::sticky_bit);  // as Kubernetes mounts it
  CHECK(folder.scheduler_keys());
  fs::permissions(folder.path(), fs::perms::owner_all);
  fs::remove(folder.path() + "/scheduler.key");
  auto missing = folder.scheduler_keys();
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message.find("scheduler.key is missing") != std::string::npos);
  CHECK(read_key_file(folder.path() + "/client.key")->public_key == client);
  CHECK(folder.authorized()->all().size() == 3);
}

TEST_CASE("keys are added under new names only, and revoked by name or key") {
  test::PrivateFolder place;
  KeyFolder folder(place.path + "/keys");
  REQUIRE_FALSE(folder.add("client", "ann"));  // no folder yet
  REQUIRE(folder.init());
  auto ann = folder.add("client", "ann");
  REQUIRE_MESSAGE(ann, ann.error().message);
  CHECK(read_key_file(folder.path() + "/ann.key")->public_key == ann->public_key);
  CHECK_FALSE(folder.add("client", "ann"));
  CHECK_FALSE(folder.add("boss", "eve"));
  CHECK_FALSE(folder.add("client", "../eve"));
  CHECK_FALSE(folder.add("client", "eve", "too-short"));
  CHECK_FALSE(folder.add("client", "eve", "", "2020-01-01"));
  KeyPair bob = make_key_pair();
  REQUIRE(folder.add("worker", "bob", bob.public_key));
  CHECK_FALSE(fs::exists(folder.path() + "/bob.key"));
  CHECK(folder.authorized()->allows("worker", bob.public_key, 0));
  CHECK(*folder.revoke("ann") == 1);
  CHECK(*folder.revoke("ann") == 0);
  CHECK_FALSE(fs::exists(folder.path() + "/ann.key"));
  CHECK(folder.add("client", "ann"));  // another key
  CHECK(*folder.revoke("ann") == 1);
  CHECK(*folder.revoke(bob.public_key) == 1);
  CHECK(folder.authorized()->all().size() == 2);
}

TEST_CASE("an allow-list that is half understood lets nobody in") {
  std::string key = make_key_pair().public_key;
  auto why = [&](const std::string& text) {
    auto list = AuthorizedKeys::parse("# comment\n\n" + text, "list");
    return list ? "" : list.error().message;
  };
  CHECK(why("client ann " + key + "\n") == "");
  CHECK(why("boss ann " + key).starts_with("list:3: \"boss\" is no role"));
  CHECK(why("client ann").starts_with("list:3: the key of ann"));
  CHECK(why("client ann " + key + " quota=3").starts_with("list:3: unknown word"));
  CHECK(why("client " + key).starts_with("list:3:"));
  CHECK(why("client ann " + key + " not-after=2027-01-31") == "");
  for (const char* day : {"", "tomorrow", "2027-02-30", "2027-1-31", "2027-01-31x"})
    CHECK_MESSAGE(why("client ann " + key + " not-after=" + day).find("names no day") != std::string::npos, day);
  CHECK(why("client ann " + key + " not-after=2027-01-31 more").starts_with("list:3: unknown word \"more\""));
}

TEST_CASE("A36: a key is let in to the end of its last day, and not a second longer") {
  test::PrivateFolder place;
  KeyFolder folder(place.path + "/keys");
  REQUIRE(folder.init());
  REQUIRE_FALSE(folder.add("client", "ann", {}, "31.1.2027"));
  auto ann = folder.add("client", "ann", {}, "2027-01-31");
  REQUIRE_MESSAGE(ann, ann.error().message);
  constexpr std::int64_t end = 1'801'440'000;  // 2027-02-01 00:00 UTC
  CHECK(ann->not_after == end);
  CHECK(show_day(end) == "2027-01-31");
  auto list = *folder.authorized();
  CHECK(list.all().back() == *ann);
  CHECK(list.allows("client", ann->public_key, end - 1));
  CHECK_FALSE(list.allows("client", ann->public_key, end));
  CHECK_FALSE(list.allows("worker", ann->public_key, end - 1));
  CHECK(list.next_end(0) == end);
  CHECK_FALSE(list.next_end(end));
}

TEST_CASE("an allow-list that others can change is refused") {
  test::PrivateFolder place;
  KeyFolder folder(place.path + "/keys");
  REQUIRE(folder.init());
  fs::permissions(folder.authorized_path(), fs::perms::group_write, fs::perm_options::add);
  auto list = folder.authorized();
  REQUIRE_FALSE(list);
  CHECK(list.error().message.find("chmod 600") != std::string::npos);
}

TEST_CASE("ipc needs no key") {
  Variables variables;
  auto found = find_client_credentials("ipc:///tmp/x/client");
  REQUIRE(found);
  CHECK(found->keys.public_key.empty());
}

TEST_CASE("a key is looked for where the first named place says, and nowhere else") {
  Variables variables;
  test::PrivateFolder place;
  CHECK(why_not(find_client_credentials(address)).find("none of these variables is set") != std::string::npos);

  setenv("HOME", place.path.c_str(), 1);
  CHECK(why_not(find_client_credentials(address)).find(place.path + "/.config/weft/keys") != std::string::npos);
  KeyFolder at_home(place.path + "/.config/weft/keys");
  REQUIRE(at_home.init());
  auto found = find_client_credentials(address);
  REQUIRE_MESSAGE(found, found.error().message);
  CHECK(found->keys.public_key == read_key_file(at_home.path() + "/client.key")->public_key);
  CHECK(found->server_key == at_home.scheduler_keys()->public_key);
  CHECK(find_worker_credentials(address)->keys.public_key == read_key_file(at_home.path() + "/worker.key")->public_key);

  setenv("WEFT_KEYS", (place.path + "/other").c_str(), 1);
  CHECK(why_not(find_client_credentials(address)).find("$WEFT_KEYS = " + place.path + "/other") != std::string::npos);

  KeyFolder third(place.path + "/third");
  REQUIRE(third.init());
  std::string file = place.path + "/scheduler.json";
  std::string public_key = third.scheduler_keys()->public_key;
  REQUIRE(write_scheduler_file(file, {address, "tcp://127.0.0.1:8788", public_key, third.path(), 1, 2, "here", "0.1.0"}));
  CHECK(find_client_credentials(address, file)->server_key == public_key);
  setenv("WEFT_SCHEDULER_FILE", file.c_str(), 1);
  CHECK(find_client_credentials(address)->keys.public_key == read_key_file(third.path() + "/client.key")->public_key);
  CHECK(*find_scheduler_address() == address);
  fs::remove(file);
  CHECK(why_not(find_client_credentials(address)).find(file) != std::string::npos);
}

TEST_CASE("a key that others can read is refused") {
  Variables variables;
  test::PrivateFolder place;
  setenv("WEFT_KEYS", (place.path + "/keys").c_str(), 1);
  REQUIRE(KeyFolder(place.path + "/keys").init());
  fs::permissions(place.path + "/keys/client.key", fs::perms::others_read, fs::perm_options::add);
  CHECK(why_not(find_client_credentials(address)).find("chmod 600") != std::string::npos);
}

TEST_CASE("a scheduler file reads back, and a wrong one says what is wrong") {
  test::PrivateFolder place;
  std::string path = place.path + "/s.json";
  SchedulerFile file{address, "tcp://h:1", std::string(40, 'k'), "/keys", 12, 34, "host \"x\"", "0.1.0"};
  REQUIRE(write_scheduler_file(path, file));
  CHECK(*read_scheduler_file(path) == file);
  for (const char* text : {"", "{", "[]", "{\"format\": 2}", "{\"format\": 1}", "{\"format\": 1, \"client_address\": 7}"}) {
    CAPTURE(text);
    REQUIRE(write_whole_file(path, text));
    auto read = read_scheduler_file(path);
    REQUIRE_FALSE(read);
    CHECK(read.error().message.starts_with(path + " is no scheduler file: "));
  }
}
