#include "worker/programs.h"

#include <fcntl.h>
#include <gnu/libc-version.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "common/image_files.h"

namespace weft::worker {

namespace {

std::string sha256_of(std::span<const std::byte> bytes) {
  Bytes hash(crypto_hash_sha256_BYTES);
  crypto_hash_sha256(reinterpret_cast<unsigned char*>(hash.data()), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return hex_of(hash);
}

bool is_hash(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool of_system(const ProgramFile& file) { return file.role == FileRole::loader || file.role == FileRole::system; }

bool makes_sense(const ProgramSetup& setup) {
  for (const ProgramFile& file : setup.files) {
    if (!is_hash(file.sha256) && !(of_system(file) && file.sha256.empty() && file.build)) return false;
    if (file.name.empty() || file.name == "." || file.name == ".." || file.name.find('/') != std::string::npos) return false;
  }
  return std::ranges::count(setup.files, FileRole::main, &ProgramFile::role) == 1;
}

/// Whether programs of this glibc need their own: ours is older, or a test says so.
bool needs_loader(const std::string& glibc) {
  if (std::getenv("WEFT_FORCE_SHIPPED_LOADER")) return true;
  int theirs[2] = {}, ours[2] = {};
  std::sscanf(glibc.c_str(), "%d.%d", &theirs[0], &theirs[1]);
  std::sscanf(gnu_get_libc_version(), "%d.%d", &ours[0], &ours[1]);
  return std::pair(ours[0], ours[1]) < std::pair(theirs[0], theirs[1]);
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

/// The file under this path if it has the bytes that were announced, as far as it was said. Any trouble means no.
std::optional<Programs::Place> Programs::check(const std::string& path, const ProgramFile& wanted) {
  Place place{.path = path, .file = std::make_shared<const OpenFile>(path)};
  if (!*place.file) return std::nullopt;
  std::optional<FileStamp> stamp = stamp_of(*place.file);
  if (!stamp || stamp->size != wanted.size) return std::nullopt;
  place.stamp = *stamp;
  place.settled = is_settled(*stamp);
  bool same = wanted.sha256.empty() ? image_key(build_id_of_file(*place.file)) == wanted.build
                                    : hex_of(hash_file(*place.file).sha256) == wanted.sha256;
  // Written to while we read it: what we saw may be no moment's file.
  if (!same || stamp_of(*place.file) != stamp) return std::nullopt;
  return place;
}

bool Programs::still_holds(Place& place, const ProgramFile& wanted) {
  if (place.settled && stamp_of(place.path) == place.stamp) return true;
  std::optional<Place> now = check(place.path, wanted);
  if (now) place = std::move(*now);
  return now.has_value();
}

std::string Programs::kept_at(const ProgramFile& file) const {
  return folder_ + "/" + (file.sha256.empty() ? file.key.hex() : file.sha256) + "/" + file.name;
}

std::vector<Key> Programs::add(const DefineProgram& message) {
  auto [place, is_new] = programs_.try_emplace(message.program);
  if (!is_new) return {};
  Program& program = place->second;
  auto setup = decode<ProgramSetup>(message.files);
  if (!setup || !makes_sense(*setup)) {
    program.bad = failure(ErrorKind::protocol_error, "the client's list of its program's files makes no sense");
    return {};
  }
  program.setup = std::move(*setup);
  program.own_loader = needs_loader(program.setup.glibc) && std::ranges::count(program.setup.files, FileRole::loader, &ProgramFile::role) == 1;
  if (!program.own_loader) std::erase_if(program.setup.files, of_system);
  std::vector<Key> missing;
  for (const ProgramFile& file : program.setup.files) {
    std::string kept = kept_at(file);
    if (auto there = check(file.path, file)) program.places[file.key] = std::move(*there);
    else if (auto ours = check(kept, file)) program.places[file.key] = std::move(*ours);
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
  if (bytes.size() != file.size || (!file.sha256.empty() && sha256_of(bytes) != file.sha256))
    return failure(ErrorKind::program_changed, file.path + " is not what the client announced; was it rebuilt while the program runs?");
  std::string path = kept_at(file), part = path + ".part" + std::to_string(getpid());
  std::error_code error;
  std::filesystem::create_directories(folder_of(path), error);
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
    for (const ProgramFile& file : program.setup.files) {
      if (file.key != key) continue;
      Result<std::string> place = value.part_count() == 1 ? keep(file, value.part(0).bytes())
                                                          : failure(ErrorKind::protocol_error, "a file of the program has no bytes");
      if (!place) program.bad = place.error();
      else if (auto checked = check(*place, file)) program.places[key] = std::move(*checked);
      else program.bad = failure(ErrorKind::io_error, "what was written to " + *place + " is not what lies there now");
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
  return found->second.places.size() == found->second.setup.files.size() ? State::ready : State::incomplete;
}

Result<ProgramSpec> Programs::spec(const Key& name) {
  if (state(name) == State::unknown) return failure(ErrorKind::program_error, "the client did not say which program its functions belong to");
  Program& program = programs_.at(name);
  if (state(name) == State::bad) return program.bad;
  WEFT_CHECK(state(name) == State::ready);
  for (const ProgramFile& file : program.setup.files) {
    Place& place = program.places.at(file.key);
    if (!still_holds(place, file))
      return failure(ErrorKind::program_changed, place.path + " is not what the client announced any more; was it rebuilt while the program runs?");
  }
  ProgramSpec spec{.environment = program.setup.environment};
  std::string loader;
  auto search = [&](const std::string& place) { spec.libraries += (spec.libraries.empty() ? "" : ":") + folder_of(place); };
  for (const ProgramFile& file : program.setup.files) {
    const auto& [place, stamp, settled, opened] = program.places.at(file.key);
    if (file.role == FileRole::main) spec.path = spec.name = place, spec.image = opened;
    else if (file.role == FileRole::attached) spec.attached.push_back(place);
    else if (file.role == FileRole::loader) loader = place;
    // Libraries that are not where the program was linked to look for them; a foreign loader must not find ours.
    if (file.role == FileRole::library) spec.own_libraries.push_back(place);
    if ((file.role == FileRole::library || file.role == FileRole::system) && (place != file.path || program.own_loader)) search(place);
  }
  if (!program.own_loader) return spec;
  spec.arguments = {"--library-path", std::exchange(spec.libraries, {}), spec.path};
  spec.path = loader;
  spec.image = nullptr;  // the loader opens it by its path
  return spec;
}

}  // namespace weft::worker
