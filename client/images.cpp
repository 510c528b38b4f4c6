#include "client/images.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_set>

#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>

#include <weft/call.h>

#include "client/symbols.h"
#include "common/image_files.h"

namespace weft {
namespace {

using detail::Thunk;
using detail::ThunkEntry;
using detail::thunk_registry;

struct Image {
  std::string path;              // as the kernel knows it
  std::string name;              // as the loader looked for it, without folders
  Key id;
  CodeAddress base = 0;
  std::vector<Range> code;       // executable segments
  bool main = false, system = false;
};
// All images of one moment; immutable.
struct Images {
  std::uint64_t generation = 0;
  std::vector<Image> all;
  Key program;
  std::string changed;           // the first file of the program that differs from what is mapped

  const Image* holding(CodeAddress address) const {
    for (const Image& image : all)
      for (const Range& range : image.code)
        if (range.contains(address)) return &image;
    return nullptr;
  }
  const Image* named(const Key& id) const {
    for (const Image& image : all)
      if (image.id == id) return &image;
    return nullptr;
  }
};

// Rises with every image that is opened or closed, and every thunk that comes or goes. About 15 ns.
std::uint64_t generation() {
  std::uint64_t count = 0;
  dl_iterate_phdr([](dl_phdr_info* info, std::size_t, void* out) {
    *static_cast<std::uint64_t*>(out) = info->dlpi_adds + info->dlpi_subs;
    return 1;
  }, &count);
  return (count << 32) + thunk_registry.changes.load(std::memory_order_acquire);
}

struct Scan {
  Images* images;
  std::vector<Mapped> files;
};

int scan_image(dl_phdr_info* info, std::size_t, void* data) {
  auto& scan = *static_cast<Scan*>(data);
  Image image;
  image.base = info->dlpi_addr;
  image.main = scan.images->all.empty();   // the loader lists the program first
  Bytes id;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    CodeAddress begin = image.base + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X)) image.code.push_back({begin, begin + segment.p_memsz});
    if (segment.p_type == PT_NOTE && id.empty())
      id = build_id_in({reinterpret_cast<const std::byte*>(begin), segment.p_memsz}, segment.p_align);
  }
  for (const Mapped& file : scan.files)
    if (!image.code.empty() && file.range.contains(image.code.front().begin)) image.path = file.path;

  constexpr std::string_view deleted = " (deleted)";
  bool gone = image.path.ends_with(deleted);
  if (gone) image.path.resize(image.path.size() - deleted.size());
  image.name = info->dlpi_name && *info->dlpi_name ? info->dlpi_name : image.path;
  image.name.erase(0, image.name.rfind('/') + 1);
  image.system = is_system(image.path) && !image.main;
  bool changed = false;
  if (id.empty() && !image.path.empty()) {
    auto hash = hash_file(image.path);
    if (hash) id = hash->sha256;
    changed = gone || !hash;
  } else if (!image.system) {
    changed = build_id_of_file(image.path) != id;
  }
  if (changed && !image.system && scan.images->changed.empty()) scan.images->changed = image.path;
  image.id = image_key(id);
  scan.images->all.push_back(std::move(image));
  return 0;
}

/// Every Client of the process asks; a file that was not written since is not read again.
std::optional<FileHash> hash_once(const std::string& path) {
  struct Known {
    struct stat file;
    FileHash hash;
  };
  static std::mutex mutex;
  static std::map<std::string, Known> known;
  std::lock_guard lock(mutex);
  struct stat now {};
  if (stat(path.c_str(), &now) != 0) return std::nullopt;
  auto before = known.find(path);
  if (before != known.end()) {
    const struct stat& then = before->second.file;
    bool same = then.st_dev == now.st_dev && then.st_ino == now.st_ino && then.st_size == now.st_size &&
                then.st_mtim.tv_sec == now.st_mtim.tv_sec && then.st_mtim.tv_nsec == now.st_mtim.tv_nsec;
    if (same) return before->second.hash;
  }
  auto hash = hash_file(path);
  if (hash) known[path] = {now, *hash};
  return hash;
}

Images scan_images(std::uint64_t now) {
  Images images{.generation = now};
  Scan scan{&images, mapped_files()};
  dl_iterate_phdr(scan_image, &scan);
  std::vector<Key> ids;
  for (const Image& image : images.all)
    if (!image.system) ids.push_back(image.id);
  if (!ids.empty()) std::sort(ids.begin() + 1, ids.end());   // libraries in any order
  KeyHasher hasher;
  hasher.add("program");
  for (const Key& id : ids) hasher.add(id);
  images.program = hasher.finish();
  return images;
}

// The images of now; rescanned only when some were opened or closed.
std::shared_ptr<const Images> current_images(std::uint64_t now) {
  static std::mutex mutex;
  static std::shared_ptr<const Images> latest;
  std::lock_guard lock(mutex);
  if (!latest || latest->generation >> 32 != now >> 32) latest = std::make_shared<const Images>(scan_images(now));
  return latest;
}

class RegistryLock {
 public:
  RegistryLock() {
    while (thunk_registry.busy.test_and_set(std::memory_order_acquire)) {
    }
  }
  ~RegistryLock() { thunk_registry.busy.clear(std::memory_order_release); }
};

bool is_registered(Thunk thunk) {
  RegistryLock lock;
  for (const ThunkEntry* entry = thunk_registry.first; entry; entry = entry->next)
    if (entry->thunk == thunk) return true;
  return false;
}

Failure changed_failure(const std::string& path) {
  return failure(ErrorKind::program_changed,
                 path + " was rebuilt or replaced while this program runs; workers would run other code, so start it again");
}

template <class F>
CodeAddress address_of(F* function) {
  return reinterpret_cast<CodeAddress>(function);
}

Result<FunctionRef> make_ref(Thunk thunk, void (*target)(), std::uint64_t now) {
  auto images = current_images(now);
  const char* outside = "the function lies in no file that this program has mapped, so no worker can have it";
  FunctionRef ref;
  ref.program = images->program;
  const Image* image = images->holding(address_of(thunk));
  if (!image) return failure(ErrorKind::invalid_argument, outside);
  ref.thunk_image = image->id;
  ref.thunk_offset = address_of(thunk) - image->base;
  if (target) {
    image = images->holding(address_of(target));
    if (!image) return failure(ErrorKind::invalid_argument, outside);
    ref.target_image = image->id;
    ref.target_offset = address_of(target) - image->base;
  }
  return ref;
}

Result<CodeAddress> find_code(const Images& images, const Key& id, std::uint64_t offset, const char* what) {
  const Image* image = images.named(id);
  if (!image)
    return failure(ErrorKind::program_error, std::string("the ") + what + " is in image " + id.hex() +
                                                 ", which this process does not map; was the program rebuilt, or is a library "
                                                 "that it opened later missing here?");
  CodeAddress address = image->base + offset;
  for (const Range& range : image->code)
    if (range.contains(address)) return address;
  return failure(ErrorKind::protocol_error,
                 std::string("the ") + what + " is named by an offset outside the executable segments of " + image->path);
}

struct Resolved {
  Thunk thunk = nullptr;
  void (*target)() = nullptr;
};
Result<Resolved> resolve(const FunctionRef& function, std::uint64_t now) {
  auto images = current_images(now);
  Result<CodeAddress> thunk = find_code(*images, function.thunk_image, function.thunk_offset, "typed caller");
  if (!thunk) return thunk.error();
  Resolved resolved{.thunk = reinterpret_cast<Thunk>(*thunk)};
  if (!is_registered(resolved.thunk))
    return failure(ErrorKind::protocol_error, "the named code is not a registered task function of this program");
  if (!function.target_image) return resolved;
  Result<CodeAddress> target = find_code(*images, function.target_image, function.target_offset, "function");
  if (!target) return target.error();
  resolved.target = reinterpret_cast<void (*)()>(*target);
  return resolved;
}

// A small direct-mapped cache of one thread, good for one generation of images.
template <class K, class V>
class Cache {
 public:
  V* find(const K& key, std::size_t hash, std::uint64_t now) {
    Slot& slot = slots_[hash % slots_.size()];
    return slot.generation == now && slot.key == key ? &slot.value : nullptr;
  }
  V& put(const K& key, std::size_t hash, std::uint64_t now, V value) {
    Slot& slot = slots_[hash % slots_.size()];
    slot = {now, key, std::move(value)};
    return slot.value;
  }

 private:
  struct Slot {
    std::uint64_t generation = 0;
    K key{};
    V value{};
  };
  std::vector<Slot> slots_ = std::vector<Slot>(64);
};
std::size_t mix(std::uint64_t a, std::uint64_t b) { return (a ^ (b << 7)) * 0x9e3779b97f4a7c15 >> 32; }

struct CodePair {
  Thunk thunk = nullptr;
  void (*target)() = nullptr;
  bool operator==(const CodePair&) const = default;
};

// "ns::Square" -> "Square", "main(int, char**)::<lambda(int)>" -> "main-lambda", "sum<int>(int)" -> "sum".
std::string short_name(std::string name) {
  bool lambda = false;
  for (std::string_view mark : {"::<lambda", "::{lambda", "::(anonymous class)", "::(lambda"})
    if (auto at = name.find(mark); at != std::string::npos) name.resize(at), lambda = true;
  std::string plain;
  int depth = 0;   // inside <...> or (...)
  for (std::size_t i = 0; i < name.size(); ++i) {
    constexpr std::string_view anonymous = "(anonymous namespace)";
    if (name.compare(i, anonymous.size(), anonymous) == 0) i += anonymous.size();
    if (i >= name.size()) break;
    if (name[i] == '<' || name[i] == '(') ++depth;
    if (depth == 0) plain += name[i];
    if (name[i] == '>' || name[i] == ')') --depth;
  }
  if (auto at = plain.rfind("::"); at != std::string::npos) plain.erase(0, at + 2);
  if (auto at = plain.rfind(' '); at != std::string::npos) plain.erase(0, at + 1);
  if (lambda) return plain.empty() ? "lambda" : plain + "-lambda";
  return plain.empty() ? "function" : plain;
}

// Labels are never freed: shapes refer to them for as long as the process lives.
std::string_view keep_label(std::string label) {
  static std::mutex mutex;
  static auto& labels = *new std::unordered_set<std::string>;
  std::lock_guard lock(mutex);
  return *labels.insert(std::move(label)).first;
}

}  // namespace

Result<FunctionRef> function_ref(Thunk thunk, void (*target)()) {
  static thread_local Cache<CodePair, FunctionRef> cache;
  CodePair code{thunk, target};
  std::size_t hash = mix(address_of(thunk) >> 4, address_of(target) >> 4);
  std::uint64_t now = generation();
  if (const FunctionRef* found = cache.find(code, hash, now)) return *found;
  Result<FunctionRef> ref = make_ref(thunk, target, now);
  if (ref) cache.put(code, hash, now, *ref);
  return ref;
}

Result<Thunk> resolve_function(const FunctionRef& function, void (**target)()) {
  static thread_local Cache<FunctionRef, Resolved> cache;
  std::size_t hash = mix(function.thunk_offset >> 4, function.target_offset >> 4);
  std::uint64_t now = generation();
  const Resolved* found = cache.find(function, hash, now);
  if (!found) {
    Result<Resolved> resolved = resolve(function, now);
    if (!resolved) return resolved.error();
    found = &cache.put(function, hash, now, *resolved);
  }
  *target = found->target;
  return found->thunk;
}

Frame frame_at(std::uintptr_t address) {
  auto images = current_images(generation());
  const Image* image = images->holding(address);
  if (!image) return {.offset = address};
  Frame frame{.image = image->path, .build = image->id, .offset = address - image->base};
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(address), &info) && info.dli_sname) frame.symbol = demangle(info.dli_sname);
  else frame.symbol = symbol_at(reinterpret_cast<void*>(address));   // only this process may have the file: say it for whoever looks from elsewhere
  return frame;
}

std::optional<std::uintptr_t> address_of(const Frame& frame) {
  if (!frame.build) return std::nullopt;
  auto images = current_images(generation());
  const Image* image = images->named(frame.build);
  if (!image) return std::nullopt;
  return image->base + frame.offset;
}

Result<Key> program_id() {
  auto images = current_images(generation());
  if (!images->changed.empty()) return changed_failure(images->changed);
  return images->program;
}

Result<std::vector<ImageFile>> program_files() {
  auto images = current_images(generation());
  if (!images->changed.empty()) return changed_failure(images->changed);
  std::vector<ImageFile> files;
  for (const Image& image : images->all) {
    ImageFile file{.path = image.path, .name = image.name, .build_id = image.id, .main = image.main, .system = image.system};
    if (image.system) {
      std::error_code error;
      file.size = std::filesystem::file_size(image.path, error);
      if (!error) files.push_back(std::move(file));  // the kernel's own has none
      continue;
    }
    auto hash = hash_once(image.path);
    if (!hash) return failure(ErrorKind::io_error, "cannot read " + image.path + ": " + std::strerror(errno));
    Bytes id = build_id_of_file(image.path);
    // It may have been rebuilt since the first look.
    if (image_key(id.empty() ? hash->sha256 : id) != image.id) return changed_failure(image.path);
    file.sha256 = hex_of(hash->sha256);
    file.size = hash->size;
    files.push_back(std::move(file));
  }
  return files;
}

detail::ThunkEntry::ThunkEntry(Thunk thunk) : thunk(thunk) {
  RegistryLock lock;
  next = std::exchange(thunk_registry.first, this);
  thunk_registry.changes.fetch_add(1, std::memory_order_release);
}
detail::ThunkEntry::~ThunkEntry() {
  RegistryLock lock;
  for (ThunkEntry** at = &thunk_registry.first; *at; at = &(*at)->next) {
    if (*at != this) continue;
    *at = next;
    break;
  }
  thunk_registry.changes.fetch_add(1, std::memory_order_release);
}

detail::CodeName detail::name_code(void (*code)(), std::string_view functor) {
  static thread_local Cache<CodeAddress, CodeName> cache;
  CodeAddress address = address_of(code);
  std::size_t hash = mix(address >> 4, 0);
  std::uint64_t now = generation();
  if (const CodeName* found = cache.find(address, hash, now)) return *found;
  auto images = current_images(now);
  const Image* image = images->holding(address);
  if (!image) throw InvalidArgument("the function lies in no file that this program has mapped, so no worker can have it");
  CodeName name;
  name.identity = KeyHasher().add("code").add(image->id).add(address - image->base).finish();
  name.label = keep_label(short_name(functor.empty() ? symbol_at(reinterpret_cast<void*>(code)) : std::string(functor)));
  return cache.put(address, hash, now, name);
}

}  // namespace weft
