// The files of the web page: built in (dashboard/web/dist, by .incbin), or from a folder while they are being written.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace weft::dashboard {

struct Asset {
  std::string plain, gzip;    // both forms of the bytes; gzip is empty when it would not be shorter
  std::string type, etag;
  bool immutable = false;     // its name changes with its content
};

class Assets {
 public:
  /// From this folder; empty: what was built in.
  explicit Assets(std::string folder);

  /// "/assets/app-0123abcd.js"; "/" and paths without a dot are the page itself. Null: there is none.
  const Asset* find(std::string_view path);
  bool empty() const { return folder_.empty() && files_.empty(); }

 private:
  const Asset* from_folder(const std::string& path);
  std::string folder_;
  std::map<std::string, Asset, std::less<>> files_;
};

struct EmbeddedFile {
  const char* path;           // "/index.html"
  const char *begin, *end;
};
/// Made by cmake/embed.cmake; ended by a null path.
extern const EmbeddedFile embedded_files[];

}  // namespace weft::dashboard
