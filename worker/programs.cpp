#include "worker/programs.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace weft::worker {

namespace {

std::string hex(std::span<const unsigned char> hash) {
  std::string text(2 * hash.size() + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), hash.data(), hash.size());
  text.pop_back();
  return text;
}

std::string sha256_of(std::span<const std::byte> bytes) {
  unsigned char hash[crypto_hash_sha256_BYTES];
  crypto_hash_sha256(hash, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return hex(hash);
}

/// Whether the file has exactly these bytes. Any trouble means no.
bool is_same(const std::string& path, const ProgramFile& wanted) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  if (static_cast<std::uint64_t>(status.st_size) != wanted.size) return false;
  std::ifstream file(path, std::ios::binary);
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  std::vector<char> buffer(1 << 20);
  std::uint64_t size = 0;
  while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || file.gcount() > 0) {
    crypto_hash_sha256_update(&state, reinterpret_cast<unsigned char*>(buffer.data()), static_cast<std::size_t>(file.gcount()));
    size += static_cast<std::uint64_t>(file.gcount());
  }
  unsigned char hash[crypto_hash_sha256_BYTES];
  crypto_hash_sha256_final(&state, hash);
  return size == wanted.size && hex(hash) == wanted.sha256;
}

bool is_hash(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string name_in(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

std::vector<Key> Programs::add(const DefineProgram& message) {
  Program& program = programs_[message.program];
  if (!program.files.empty()) return {};
  auto files = decode<ProgramFiles>(message.files);
  bool good = files && std::count_if(files->begin(), files->end(), [](const ProgramFile& f) { return f.main; }) == 1;
  for (const ProgramFile& file : good ? *files : ProgramFiles{}) good &= is_hash(file.sha256) && !name_in(file.path).empty();
  if (!good) {
    program.bad = failure(ErrorKind::protocol_error, "the client's list of its program's files makes no sense");
    return {};
  }
  program.files = std::move(*files);
  std::vector<Key> missing;
  for (const ProgramFile& file : program.files) {
    std::string kept = folder_ + "/" + file.sha256 + "/" + name_in(file.path);
    if (is_same(file.path, file)) program.places[file.key] = file.path;
    else if (is_same(kept, file)) program.places[file.key] = kept;
    else {
      awaited_[file.key].insert(message.program);
      missing.push_back(file.key);
    }
  }
  return missing;
}

/// Write a fetched file under its hash; complete or not at all.
Result<std::string> Programs::keep(const ProgramFile& file, std::span<const std::byte> bytes) {
  if (folder_.empty()) return failure(ErrorKind::io_error, "this worker has no folder for files of programs");
  if (bytes.size() != file.size || sha256_of(bytes) != file.sha256)
    return failure(ErrorKind::program_changed, file.path + " is not what the client announced; was it rebuilt while the program runs?");
  std::string folder = folder_ + "/" + file.sha256, path = folder + "/" + name_in(file.path), part = path + ".part" + std::to_string(getpid());
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  auto fail = [&](const char* what) {
    return failure(ErrorKind::io_error, std::string("cannot keep a file of the program: ") + what + " " + part + ": " + std::strerror(errno));
  };
  int descriptor = open(part.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0700);
  if (descriptor < 0) return fail("open");
  while (!bytes.empty()) {
    ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written <= 0) {
      auto failed = fail("write");
      close(descriptor);
      unlink(part.c_str());
      return failed;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  if (close(descriptor) != 0 || rename(part.c_str(), path.c_str()) != 0) return fail("rename");
  return path;
}

std::vector<Key> Programs::provide(const Key& key, const Value& value) {
  std::vector<Key> settled;
  auto found = awaited_.find(key);
  if (found == awaited_.end()) return settled;
  for (const Key& name : found->second) {
    Program& program = programs_.at(name);
    for (const ProgramFile& file : program.files) {
      if (file.key != key) continue;
      Result<std::string> place = value.part_count() == 1 ? keep(file, value.part(0).bytes())
                                                          : failure(ErrorKind::protocol_error, "a file of the program has no bytes");
      if (place) program.places[key] = *place;
      else program.bad = place.error();
    }
    if (state(name) != State::incomplete) settled.push_back(name);
  }
  awaited_.erase(found);
  return settled;
}

Programs::State Programs::state(const Key& name) const {
  auto found = programs_.find(name);
  if (found == programs_.end()) return State::unknown;
  if (found->second.bad.kind != ErrorKind::none) return State::bad;
  return found->second.places.size() == found->second.files.size() ? State::ready : State::incomplete;
}

Result<ProgramSpec> Programs::spec(const Key& name) const {
  if (state(name) == State::unknown) return failure(ErrorKind::program_error, "the client did not say which program its functions belong to");
  const Program& program = programs_.at(name);
  if (state(name) == State::bad) return program.bad;
  WEFT_CHECK(state(name) == State::ready);
  ProgramSpec spec;
  std::string libraries;
  for (const ProgramFile& file : program.files) {
    const std::string& place = program.places.at(file.key);
    if (file.main) spec.path = place;
    // Libraries that are not where the program was linked to look for them.
    else if (place != file.path) libraries += (libraries.empty() ? "" : ":") + place.substr(0, place.rfind('/'));
  }
  if (!libraries.empty()) spec.environment["LD_LIBRARY_PATH"] = libraries;
  return spec;
}

}  // namespace weft::worker
