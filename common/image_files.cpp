#include "common/image_files.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <elf.h>
#include <link.h>

#include <sodium.h>

namespace weft {

FileHash hash_file(const OpenFile& file) {
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  std::vector<unsigned char> buffer(1 << 20);
  FileHash result;
  while (std::size_t n = file.read(buffer.data(), buffer.size(), result.size)) {
    crypto_hash_sha256_update(&state, buffer.data(), n);
    result.size += n;
  }
  result.sha256.resize(crypto_hash_sha256_BYTES);
  crypto_hash_sha256_final(&state, reinterpret_cast<unsigned char*>(result.sha256.data()));
  return result;
}

std::optional<FileHash> hash_file(const std::string& path) {
  OpenFile file(path);
  if (!file) return std::nullopt;
  return hash_file(file);
}

std::string hex_of(std::span<const std::byte> bytes) {
  std::string text(2 * bytes.size() + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  text.pop_back();
  return text;
}

Bytes build_id_in(std::span<const std::byte> notes, std::size_t alignment) {
  if (alignment < 4) alignment = 4;
  auto padded = [&](std::size_t size) { return (size + alignment - 1) / alignment * alignment; };
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes.data(), sizeof note);
    std::size_t name = sizeof note, text = padded(name + note.n_namesz), next = padded(text + note.n_descsz);
    if (text > notes.size() || note.n_descsz > notes.size() - text) break;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(notes.data() + name, "GNU", 4) == 0)
      return {notes.begin() + text, notes.begin() + text + note.n_descsz};
    if (next >= notes.size()) break;
    notes = notes.subspan(next);
  }
  return {};
}

Bytes build_id_of_file(const std::string& path) { return build_id_of_file(OpenFile(path)); }

Bytes build_id_of_file(const OpenFile& file) {
  ElfW(Ehdr) head;
  if (!file || file.read(&head, sizeof head, 0) != sizeof head || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) return {};
  for (int i = 0; i < head.e_phnum; ++i) {
    ElfW(Phdr) segment;
    if (file.read(&segment, sizeof segment, head.e_phoff + i * sizeof segment) != sizeof segment) break;
    if (segment.p_type != PT_NOTE || segment.p_filesz > (1 << 20)) continue;
    Bytes notes(segment.p_filesz);
    if (file.read(notes.data(), notes.size(), segment.p_offset) != notes.size()) break;
    if (Bytes id = build_id_in(notes, segment.p_align); !id.empty()) return id;
  }
  return {};
}

std::uint64_t link_base_of_file(const std::string& path) {
  OpenFile file(path);
  ElfW(Ehdr) head;
  if (!file || file.read(&head, sizeof head, 0) != sizeof head || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) return 0;
  for (int i = 0; i < head.e_phnum; ++i) {
    ElfW(Phdr) segment;
    if (file.read(&segment, sizeof segment, head.e_phoff + i * sizeof segment) != sizeof segment) break;
    if (segment.p_type == PT_LOAD) return segment.p_vaddr - segment.p_offset;
  }
  return 0;
}

Key image_key(std::span<const std::byte> id) { return KeyHasher().add("image").add(id).finish(); }

bool is_system(const std::string& path) {
  if (path.empty() || path[0] != '/') return true;   // the kernel's own
  if (path.starts_with("/usr/local/")) return false;
  for (const char* folder : {"/lib/", "/lib64/", "/lib32/", "/usr/lib/", "/usr/lib64/", "/usr/libexec/"})
    if (path.starts_with(folder)) return true;
  return false;
}

std::vector<Mapped> mapped_files() {
  std::vector<Mapped> files;
  std::unique_ptr<FILE, int (*)(FILE*)> maps(std::fopen("/proc/self/maps", "re"), &std::fclose);
  char* line = nullptr;
  std::size_t room = 0;
  while (maps && ::getline(&line, &room, maps.get()) > 0) {
    Mapped file;
    int path = 0;
    if (std::sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", &file.range.begin, &file.range.end, &path) < 2 || path == 0) continue;
    file.path = line + path;
    while (!file.path.empty() && file.path.back() == '\n') file.path.pop_back();
    if (!file.path.empty() && file.path[0] == '/') files.push_back(std::move(file));
  }
  std::free(line);
  return files;
}

}  // namespace weft
