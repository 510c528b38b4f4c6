// What the files behind mapped images say: build ids, hashes, and which file is mapped where.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <weft/buffer.h>
#include <weft/key.h>

#include "common/open_file.h"

namespace weft {

using CodeAddress = std::uintptr_t;

struct Range {
  CodeAddress begin = 0, end = 0;
  bool contains(CodeAddress address) const { return address >= begin && address < end; }
};

struct FileHash {
  Bytes sha256;
  std::uint64_t size = 0;
};
FileHash hash_file(const OpenFile& file);
/// SHA-256 and size of a file; nothing if it cannot be opened.
std::optional<FileHash> hash_file(const std::string& path);

/// Bytes as people write them.
std::string hex_of(std::span<const std::byte> bytes);

/// The NT_GNU_BUILD_ID among ELF notes; empty if there is none.
Bytes build_id_in(std::span<const std::byte> notes, std::size_t alignment);
/// The same of a file; empty also if the file is no ELF file.
Bytes build_id_of_file(const OpenFile& file);
Bytes build_id_of_file(const std::string& path);

/// The address at which the linker put the file's first byte: 0 but for programs that cannot be moved.
std::uint64_t link_base_of_file(const std::string& path);

/// An image's name in function references, from its build id.
Key image_key(std::span<const std::byte> id);

/// Whether a file belongs to the operating system, which every worker has by itself.
bool is_system(const std::string& path);

struct Mapped {
  Range range;
  std::string path;
};
/// The kernel's word on which file is mapped where: the loader's names may be relative, or empty for the program.
std::vector<Mapped> mapped_files();

}  // namespace weft
