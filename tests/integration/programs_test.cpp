// weft-scheduler, weft-worker and weft as processes: what they print, which files they write, how they end.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <weft/weft.h>

#include "common/credentials.h"
#include "common/exit_codes.h"
#include "common/scheduler_file.h"
#include "support/running_programs.h"

using namespace weft;
using namespace weft::test;
namespace fs = std::filesystem;

TEST_CASE("a scheduler prints what it bound, writes its file and keys, and SIGTERM ends it in good order") {
  Home home;
  auto scheduler = home.scheduler({"--pid-file", home.path + "/pid"});
  auto file = read_scheduler_file(home.file());
  REQUIRE_MESSAGE(file, file.error().message);
  REQUIRE(scheduler->says("dashboard: " + file->dashboard + "\n"));
  CHECK(scheduler->output == "clients: " + file->client_address + "\nworkers: " + file->worker_address + "\nkeys: " + home.keys() +
                                 "\ndashboard: " + file->dashboard + "\n");
  CHECK_FALSE(file->client_address.ends_with(":0"));
  CHECK(file->pid == scheduler->pid());
  CHECK(file->keys == home.keys());
  CHECK(mode_of(home.keys()) == 0700);
  for (const char* name : {"scheduler.key", "worker.key", "client.key", "authorized_keys"}) CHECK(mode_of(home.keys() + '/' + name) == 0600);
  CHECK(*read_whole_file(home.path + "/pid") == std::to_string(scheduler->pid()) + "\n");
  scheduler->signal(SIGTERM);
  CHECK(scheduler->exit_code() == exit_code::ok);
  CHECK_FALSE(fs::exists(home.file()));
  CHECK_FALSE(fs::exists(home.path + "/pid"));
  for (const char* name : {"scheduler.key", "worker.key", "client.key"}) {
    auto pair = read_key_file(home.keys() + '/' + name);
    REQUIRE(pair);
    CHECK_FALSE((scheduler->errors + scheduler->output).find(pair->secret_key.z85()) != std::string::npos);
  }
}

TEST_CASE("a port in use is said by number and holder, with exit code 69") {
  Home home;
  auto first = home.scheduler();
  std::string address = read_scheduler_file(home.file())->client_address;
  std::string port = address.substr(address.rfind(':') + 1);
  auto second = home.run("weft-scheduler", {"--port", port, "--worker-port", "0"});
  CHECK(second->exit_code() == exit_code::unavailable);
  CHECK_MESSAGE(second->errors.find("port " + port) != std::string::npos, second->errors);
  CHECK_MESSAGE(second->errors.find("process " + std::to_string(first->pid())) != std::string::npos, second->errors);
}

TEST_CASE("what cannot be written ends a program with exit code 73") {
  Home home;
  auto scheduler = home.run("weft-scheduler", {"--port", "0", "--worker-port", "0", "--scheduler-file", "/proc/nowhere/s.json"});
  CHECK(scheduler->exit_code() == exit_code::cannot_create);
  CHECK_MESSAGE(scheduler->errors.find("/proc/nowhere/s.json") != std::string::npos, scheduler->errors);
  auto worker = home.run("weft-worker", {"ipc://" + home.path + "/worker", "--local-directory", "/proc/nowhere/spill"});
  CHECK(worker->exit_code() == exit_code::cannot_create);
  CHECK_MESSAGE(worker->errors.find("/proc/nowhere/spill") != std::string::npos, worker->errors);
}

TEST_CASE("unknown options and verbs name the nearest one, with exit code 64") {
  Home home;
  for (const char* name : {"weft-scheduler", "weft-worker"}) {
    auto program = home.run(name, {"--log-levle", "info"});
    CHECK(program->exit_code() == exit_code::usage);
    CHECK(program->errors.find("did you mean --log-level?") != std::string::npos);
  }
  CHECK(home.weft({"stauts"}, exit_code::usage)->errors.find("did you mean status?") != std::string::npos);
  CHECK(home.weft({"status", "--adress", "x"}, exit_code::usage)->errors.find("did you mean --address?") != std::string::npos);
  CHECK(home.weft({"--version"})->output.find("protocol 1") != std::string::npos);
}

TEST_CASE("a worker joins by the scheduler file and runs a user's program over TCP; SIGTERM retires it") {
  Home home;
  auto scheduler = home.scheduler();
  auto worker = home.worker("w1", {"--resources", "GPU=2 MEM=10e9", "--memory-limit", "1GiB"});
  Json data = home.workers(1)[0];
  CHECK(data.at("name") == "w1");
  CHECK(data.at("slots") == 1);
  CHECK(data.at("memory_limit") == 1u << 30);
  CHECK(data.at("resources") == Json({{"GPU", 2.0}, {"MEM", 10e9}}));

  auto program = home.run("greet_program", {"7"}, {{"WEFT_SCHEDULER_FILE", home.file()}});
  CHECK(program->exit_code() == 7);
  CHECK_MESSAGE(program->output == "sum 42\n", program->errors);

  worker->signal(SIGTERM);
  CHECK(worker->exit_code() == exit_code::ok);
  home.workers(0);
}

TEST_CASE("Ctrl-C lets a worker finish what it runs; twice stops it now") {
  Home home;
  auto scheduler = home.scheduler();
  auto worker = home.worker("w1");
  home.workers(1);
  auto program = home.run("greet_program", {"0", "100"}, {{"WEFT_SCHEDULER_FILE", home.file()}});
  auto wait_until = [&](const char* field, const Json& value) {
    for (Time end = monotonic_now() + limit; home.workers(1)[0].at(field) != value;) REQUIRE(monotonic_now() < end);
  };
  wait_until("running", 1);
  worker->signal(SIGINT);
  REQUIRE(worker->says("retiring"));
  wait_until("status", "retiring");
  worker->signal(SIGINT);
  CHECK(worker->exit_code() == exit_code::ok);
  CHECK(worker->errors.find("stopping now") != std::string::npos);
}

TEST_CASE("a worker whose time is over, and a scheduler that nobody needs, end by themselves") {
  Home home;
  auto scheduler = home.scheduler({"--idle-timeout", "2s"});
  auto worker = home.worker("w1", {"--lifetime", "100ms"});
  CHECK(worker->exit_code() == exit_code::ok);
  CHECK_MESSAGE(worker->errors.find("its lifetime is over") != std::string::npos, worker->errors);
  CHECK(scheduler->exit_code() == exit_code::ok);
  CHECK_MESSAGE(scheduler->errors.find("idle for too long") != std::string::npos, scheduler->errors);
}

TEST_CASE("values in clear are one choice of a worker; control links stay encrypted") {
  Home home;
  auto scheduler = home.scheduler();
  auto worker = home.worker("plain", {"--no-encrypt-values"});
  home.workers(1);
  auto program = home.run("greet_program", {"0"}, {{"WEFT_SCHEDULER_FILE", home.file()}});
  CHECK(program->exit_code() == 0);
  CHECK_MESSAGE(program->output == "sum 42\n", program->errors);
}

TEST_CASE("of two workers with one name the second ends and says why") {
  Home home;
  auto scheduler = home.scheduler();
  auto first = home.worker("twin");
  home.workers(1);
  auto second = home.worker("twin");
  CHECK(second->exit_code() == exit_code::protocol);
  CHECK_MESSAGE(second->errors.find("'twin' is already here") != std::string::npos, second->errors);
  CHECK(home.workers(1)[0].at("pid") == first->pid());
}

TEST_CASE("an address in the wrong form, and no address at all, are said at once") {
  Home home;
  auto none = home.run("weft-worker", {});
  CHECK(none->exit_code() == exit_code::usage);
  CHECK(none->errors.find("--scheduler-file") != std::string::npos);
  auto wrong = home.run("weft-worker", {"udp://somewhere"});
  CHECK(wrong->exit_code() == exit_code::usage);
  CHECK(wrong->errors.find("unknown scheme") != std::string::npos);
}

TEST_CASE("status as JSON has a version, the answer, and errors in the same form") {
  Home home;
  auto scheduler = home.scheduler();
  Json status = Json::parse(home.weft({"status", "-o", "json"})->output);
  CHECK(status.at("version") == 1);
  CHECK(status.at("command") == "status");
  CHECK(status.at("data").at("workers") == 0);
  Json error = Json::parse(home.weft({"explain", std::string(32, 'a'), "-o", "json"}, exit_code::usage)->output);
  CHECK(error.at("error").at("kind") == "InvalidArgument");
}

TEST_CASE("a client without a key is told where it was looked for") {
  Home home;
  auto answer = home.weft({"status", "--address", "tcp://127.0.0.1:1"}, exit_code::unavailable);
  CHECK_MESSAGE(answer->errors.find("looked in " + home.keys()) != std::string::npos, answer->errors);
}

TEST_CASE("a client with a wrong key is refused with a clear sentence, and let in once its key is on the list") {
  Home home, stranger;
  auto scheduler = home.scheduler();
  std::string address = read_scheduler_file(home.file())->client_address;
  REQUIRE(KeyFolder(stranger.path + "/keys").init());
  fs::copy_file(home.keys() + "/scheduler.pub", stranger.path + "/keys/scheduler.pub", fs::copy_options::overwrite_existing);
  auto ask = [&] {
    return stranger.run("weft", {"status", "--address", address, "--timeout", "2s"}, {{"WEFT_KEYS", stranger.path + "/keys"}});
  };
  auto refused = ask();
  CHECK(refused->exit_code() == exit_code::unavailable);
  CHECK_MESSAGE(refused->errors.find("key") != std::string::npos, refused->errors);

  std::string key = read_key_file(stranger.path + "/keys/client.key")->public_key;
  CHECK(home.weft({"keys", "add", "client", "stranger", key})->output.find("added client stranger") == 0);
  scheduler->signal(SIGHUP);
  REQUIRE(scheduler->says("allow-list read again"));
  CHECK(ask()->exit_code() == exit_code::ok);

  home.weft({"keys", "revoke", "stranger"});
  scheduler->signal(SIGHUP);
  scheduler->output.clear();
  scheduler->errors.clear();
  REQUIRE(scheduler->says("allow-list read again"));
  CHECK(ask()->exit_code() == exit_code::unavailable);
}

TEST_CASE("A36: revoking a key ends what is connected with it, and nobody else") {
  Home home, guest;
  auto scheduler = home.scheduler();
  auto reread = [&](const std::string& says) {
    scheduler->output.clear();
    scheduler->errors.clear();
    scheduler->signal(SIGHUP);
    REQUIRE(scheduler->says(says));
  };
  home.weft({"keys", "add", "client", "guest"});
  reread("allow-list read again");
  REQUIRE(make_private_folder(guest.path + "/keys"));
  fs::copy_file(home.keys() + "/scheduler.pub", guest.path + "/keys/scheduler.pub");
  fs::copy_file(home.keys() + "/guest.key", guest.path + "/keys/client.key");
  auto connected = [address = read_scheduler_file(home.file())->client_address](const std::string& keys) {
    setenv("WEFT_KEYS", keys.c_str(), 1);
    auto client = std::make_unique<Client>(address);
    unsetenv("WEFT_KEYS");
    return client;
  };
  auto owner = connected(home.keys()), visitor = connected(guest.path + "/keys");
  auto open = visitor->submit([](int x) { return x; }, 1);  // nobody runs it
  CHECK(visitor->workers().empty());
  CHECK(owner->workers().empty());

  home.weft({"keys", "revoke", "guest"});
  reread("its key was revoked");
  auto says_why = [](auto call) {
    try {
      call();
      FAIL("it still works");
    } catch (const ConnectionFailed& error) {
      CHECK_MESSAGE(std::string(error.what()).find("took back the key") != std::string::npos, error.what());
    }
  };
  says_why([&] { open.result(limit); });
  says_why([&] { visitor->workers(); });
  CHECK(owner->workers().empty());
  CHECK(Json::parse(owner->ask("status", {}, {}, true)).at("clients") == 1);
}

TEST_CASE("A36: a worker's key opens no client's door") {
  Home home, thief;
  auto scheduler = home.scheduler();
  std::string address = read_scheduler_file(home.file())->client_address;
  REQUIRE(make_private_folder(thief.path + "/keys"));
  fs::copy_file(home.keys() + "/scheduler.pub", thief.path + "/keys/scheduler.pub");
  fs::copy_file(home.keys() + "/worker.key", thief.path + "/keys/client.key");
  auto refused = thief.run("weft", {"status", "--address", address, "--timeout", "2s"}, {{"WEFT_KEYS", thief.path + "/keys"}});
  CHECK(refused->exit_code() == exit_code::unavailable);
}

TEST_CASE("weft local runs a program on a cluster of its own and ends with the program's code") {
  Home home;
  std::string program = *find_program("greet_program");
  auto local = home.run("weft", {"local", "--workers", "2", "--", program, "5"});
  CHECK(local->exit_code() == 5);
  CHECK_MESSAGE(local->output == "sum 42\n", local->errors);
  auto missing = home.run("weft", {"local", "--workers", "1", "--", home.path + "/nonesuch"});
  CHECK(missing->exit_code() == exit_code::no_input);
  CHECK(missing->errors.find("nonesuch") != std::string::npos);
}

TEST_CASE("weft local without a program stays, says how to connect, and leaves nothing behind") {
  Home home;
  auto local = home.run("weft", {"local", "--workers", "1"});
  REQUIRE(local->says("Ctrl-C ends it"));
  std::size_t at = local->output.find("ipc://");
  REQUIRE(at != std::string::npos);
  std::string address = local->output.substr(at, local->output.find('\n', at) - at);
  CHECK(home.weft({"status", "--address", address})->output.find("scheduler  " + address) == 0);
  local->signal(SIGINT);
  CHECK(local->exit_code() == exit_code::ok);
  CHECK_FALSE(fs::exists(fs::path(address.substr(6)).parent_path()));
}

TEST_CASE("a scheduler that is killed leaves nothing that stops the next one") {
  Home home;
  auto first = home.scheduler({"--pid-file", home.path + "/pid"});
  std::uint64_t epoch = read_scheduler_file(home.file())->epoch;
  first->signal(SIGKILL);
  CHECK(first->exit_code() == 128 + SIGKILL);
  auto second = home.scheduler({"--pid-file", home.path + "/pid"});
  CHECK(read_scheduler_file(home.file())->epoch > epoch);
  auto third = home.run("weft-scheduler", {"--port", "0", "--worker-port", "0", "--pid-file", home.path + "/pid"});
  CHECK(third->exit_code() == exit_code::cannot_create);
  CHECK_MESSAGE(third->errors.find(std::to_string(second->pid())) != std::string::npos, third->errors);
}

TEST_CASE("the configuration in force is shown with the origin of each value") {
  Home home;
  auto shown = home.run("weft", {"config", "worker", "-o", "json"}, {{"WEFT_NTHREADS", "3"}});
  REQUIRE(shown->exit_code() == exit_code::ok);
  Json value = Json::parse(shown->output).at("data").at(0).at("options").at("nthreads");
  CHECK(value == Json({{"value", "3"}, {"origin", "WEFT_NTHREADS"}, {"default", "0"}}));
}

TEST_CASE("a dump is one private file") {
  Home home;
  auto scheduler = home.scheduler();
  home.weft({"dump", home.path + "/dump.json"});
  CHECK(mode_of(home.path + "/dump.json") == 0600);
  Json dump = Json::parse(*read_whole_file(home.path + "/dump.json"));
  for (const char* section : {"status", "workers", "groups", "logs", "datasets", "processing", "failures", "tasks"}) CHECK(dump.contains(section));
}

TEST_CASE("a file that is there is replaced only by --force") {
  Home home;
  auto scheduler = home.scheduler();
  REQUIRE(scheduler->says("dashboard: "));
  std::string precious = home.path + "/precious", link = home.path + "/link";
  REQUIRE(write_whole_file(precious, "mine"));
  fs::create_symlink(precious, link);
  REQUIRE(mkfifo((home.path + "/pipe").c_str(), 0600) == 0);
  for (const char* verb : {"dump", "trace", "report"}) {
    CAPTURE(verb);
    for (const std::string& taken : {precious, link}) CHECK(home.weft({verb, taken}, exit_code::usage)->errors.find("is there already") != std::string::npos);
    CHECK(home.weft({verb, home.path, "--force"}, exit_code::usage)->errors.find("is a folder") != std::string::npos);
    CHECK(home.weft({verb, home.path + "/pipe", "--force"}, exit_code::usage)->errors.find("a pipe") != std::string::npos);
    CHECK(*read_whole_file(precious) == "mine");
  }
  for (const char* verb : {"dump", "trace"}) {
    CAPTURE(verb);
    CHECK(home.weft({verb, link, "--force"})->output.find("wrote " + link + " (") == 0);
    CHECK(*read_whole_file(precious) != "mine");
    CHECK(fs::is_symlink(link));
    std::string made = home.path + "/new-" + verb;
    Json said = Json::parse(home.weft({verb, made, "-o", "json"})->output).at("data");
    CHECK(said == Json({{"file", made}, {"bytes", fs::file_size(made)}}));
  }
}

TEST_CASE("weft retire says who stays with what nobody could take, and ends with 1") {
  Home home;
  LocalCluster cluster({.workers = 1, .log_level = "off"});
  Client client(cluster);
  auto kept = client.submit([](int x) { return x; }, 1);
  CHECK(kept.result(limit) == 1);
  auto refused = home.weft({"retire", "worker-0", "--address", cluster.address()}, exit_code::failure);
  CHECK(refused->output.empty());
  CHECK_MESSAGE(refused->errors.find("worker-0 stays: it holds 1 value that is wanted") != std::string::npos, refused->errors);
  kept.release();
  client.ask("status", {}, {}, true);  // behind the release
  CHECK(home.weft({"retire", "worker-0", "--address", cluster.address()})->output == "retiring worker-0\n");
}

TEST_CASE("a configuration that is shown can be given back as a file") {
  Home home;
  std::string file = home.path + "/weft.conf";
  REQUIRE(write_whole_file(file, home.weft({"config"})->output));
  for (const char* program : {"scheduler", "worker"}) {
    auto read = home.run(std::string("weft-") + program, {"--config", file, "--show-config", "table"});
    CHECK_MESSAGE(read->exit_code() == exit_code::ok, read->errors);
    CHECK(read->output.find(file + ":") != std::string::npos);
  }
  CHECK(home.weft({"config", "cli", "--config", file})->output.find(file + ":") != std::string::npos);
}

TEST_CASE("bash completes verbs and options") {
  Home home;
  std::string script = home.path + "/completion", answer = home.path + "/answer";
  std::ofstream(script) << home.weft({"completion", "bash"})->output;
  std::string folder = fs::path(*find_program("weft")).parent_path();
  auto completed = [&](const std::string& words, int number) {
    std::string command = "PATH='" + folder + "':$PATH bash -c '. " + script + "; COMP_WORDS=(" + words + "); COMP_CWORD=" + std::to_string(number) +
                          "; _weft ${COMP_WORDS[0]}; echo ${COMPREPLY[@]}' > " + answer;
    CHECK(std::system(command.c_str()) == 0);
    return *read_whole_file(answer);
  };
  CHECK(completed("weft sta", 1) == "status\n");
  CHECK(completed("weft local --wor", 2) == "--workers\n");
  CHECK(completed("weft-worker --death", 1) == "--death-timeout\n");
  CHECK(completed("weft keys a", 2) == "add\n");
  CHECK(home.weft({"completion", "fish"}, exit_code::usage)->errors.find("bash only") != std::string::npos);
}

TEST_CASE("weft local offers nothing about a cluster elsewhere, and says whose memory it means") {
  Home home;
  std::string help = home.weft({"local", "--help"})->output;
  for (const char* foreign : {"--address", "--scheduler-file", "--timeout"}) CHECK(help.find(foreign) == std::string::npos);
  CHECK(help.find("of all workers together: each gets its share") != std::string::npos);
  home.weft({"local", "--address", "tcp://127.0.0.1:1"}, exit_code::usage);
}
