#include "dashboard/assets.h"

#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include <weft/key.h>

namespace weft::dashboard {

static std::string type_of(std::string_view path) {
  static constexpr std::pair<std::string_view, const char*> types[] = {
      {".html", "text/html; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"}, {".css", "text/css; charset=utf-8"},
      {".svg", "image/svg+xml"}, {".png", "image/png"}, {".woff2", "font/woff2"}, {".json", "application/json"},
      {".map", "application/json"}, {".ico", "image/x-icon"}, {".txt", "text/plain; charset=utf-8"}};
  for (const auto& [ending, type] : types)
    if (path.ends_with(ending)) return type;
  return "application/octet-stream";
}

static std::string compressed(const std::string& plain) {
  z_stream stream{};
  if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string out(deflateBound(&stream, plain.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  bool good = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  out.resize(good ? stream.total_out : 0);
  deflateEnd(&stream);
  return out.size() < plain.size() ? out : std::string();
}

/// app-0123abcd.js: eight or more letters and digits behind the last dash, one of them a digit.
static bool has_hash(std::string_view path) {
  std::size_t slash = path.rfind('/');
  std::string_view name = path.substr(slash == path.npos ? 0 : slash + 1);
  std::size_t dash = name.rfind('-'), dot = name.find('.', dash == name.npos ? 0 : dash);
  if (dash == name.npos || dot == name.npos || dot - dash <= 8) return false;
  return name.substr(dash, dot - dash).find_first_of("0123456789") != name.npos;
}

static Asset make_asset(const std::string& path, std::string plain) {
  Asset asset{.gzip = compressed(plain), .type = type_of(path), .etag = '"' + KeyHasher().add(plain).finish().hex() + '"', .immutable = has_hash(path)};
  asset.plain = std::move(plain);
  return asset;
}

Assets::Assets(std::string folder) : folder_(std::move(folder)) {
  if (!folder_.empty()) return;
  for (const EmbeddedFile* file = embedded_files; file->path; ++file)
    if (std::string_view(file->path) != "/schema.json") files_[file->path] = make_asset(file->path, std::string(file->begin, file->end));
}

const Asset* Assets::find(std::string_view path) {
  if (path.find("/..") != path.npos) return nullptr;   // no page of ours has such a name
  std::size_t slash = path.rfind('/');
  bool is_page = path.substr(slash == path.npos ? 0 : slash + 1).find('.') == path.npos;
  std::string wanted = is_page ? "/index.html" : std::string(path);
  if (!folder_.empty()) return from_folder(wanted);
  auto found = files_.find(wanted);
  return found == files_.end() ? nullptr : &found->second;
}

const Asset* Assets::from_folder(const std::string& path) {
  // Nothing outside of the folder.
  if (path.find("..") != path.npos || path.find('\0') != path.npos || !path.starts_with('/')) return nullptr;
  std::error_code error;
  if (!std::filesystem::is_regular_file(folder_ + path, error)) return nullptr;
  std::ifstream file(folder_ + path, std::ios::binary);
  files_[path] = make_asset(path, std::string(std::istreambuf_iterator<char>(file), {}));
  return &files_[path];
}

}  // namespace weft::dashboard
