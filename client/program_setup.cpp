#include "client/program_setup.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <set>

#include <gnu/libc-version.h>

#include "client/images.h"
#include "common/image_files.h"

namespace weft::client {

namespace {

FileRole role_of(const ImageFile& image) {
  if (image.main) return FileRole::main;
  if (!image.system) return FileRole::library;
  return image.name.starts_with("ld-") || image.name.starts_with("ld.so") ? FileRole::loader : FileRole::system;
}

Result<ProgramFile> attach(const std::string& given) {
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(given, error).lexically_normal();
  if (error || !std::filesystem::is_regular_file(path, error))
    return failure(ErrorKind::io_error, "the attached file " + given + " is not a file; `files` takes paths of plain files");
  auto hash = hash_file(path);
  if (!hash) return failure(ErrorKind::io_error, "cannot read the attached file " + given + ": " + std::strerror(errno));
  std::string sha256 = hex_of(hash->sha256);
  return ProgramFile{.key = KeyHasher().add("program file").add(sha256).finish(), .path = path, .name = path.filename(),
                     .sha256 = sha256, .size = hash->size, .role = FileRole::attached};
}

std::mutex attached_mutex;
std::map<std::string, std::string>& attached_files() {
  static auto* files = new std::map<std::string, std::string>;
  return *files;
}

}  // namespace

Result<DescribedProgram> describe_program(const Key& images, const std::map<std::string, std::string>& environment,
                                          const std::vector<std::string>& attached) {
  DescribedProgram described{.program = images, .setup = {.environment = environment, .glibc = gnu_get_libc_version()}};
  Result<std::vector<ImageFile>> files = program_files();
  if (!files) return files.error();
  std::vector<ProgramFile>& all = described.setup.files;
  for (const ImageFile& image : *files) {
    KeyHasher key;
    if (image.sha256.empty()) key.add("system file").add(image.build_id);
    else key.add("program file").add(image.sha256);
    all.push_back({.key = key.finish(), .path = image.path, .name = image.name, .sha256 = image.sha256, .build = image.build_id,
                   .size = image.size, .role = role_of(image)});
  }
  KeyHasher started;
  started.add("started program").add(images);
  for (const auto& [name, value] : environment) started.add(name).add(value);
  std::set<std::string> names;
  for (const std::string& path : attached) {
    Result<ProgramFile> file = attach(path);
    if (!file) return file.error();
    if (!names.insert(file->name).second)
      return failure(ErrorKind::invalid_argument, "two attached files are called " + file->name + "; tasks find them by name, so rename one");
    started.add("file").add(file->name).add(file->sha256);
    all.push_back(std::move(*file));
  }
  if (!environment.empty() || !attached.empty()) described.program = started.finish();
  for (const ProgramFile& file : all) described.paths[file.key] = file.path;
  return described;
}

void attach_here(const std::vector<std::string>& files) {
  for (const std::string& given : files) {
    ProgramFile file = attach(given).value_or_throw();
    std::lock_guard lock(attached_mutex);
    attached_files()[file.name] = file.path;
  }
}

std::string attached_here(const std::string& name) {
  std::lock_guard lock(attached_mutex);
  auto found = attached_files().find(name);
  return found == attached_files().end() ? std::string() : found->second;
}

}  // namespace weft::client
