// Text files written by tasks: under a name of their own until they are complete.
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <filesystem>

#include <weft/bag/text.h>
#include <weft/error.h>
#include <weft/key.h>

namespace weft::detail {

struct LineWriter::File {
  std::string path, unfinished, buffer;
  int descriptor = -1;
  gzFile stream = nullptr;

  ~File() {
    if (stream) gzclose(stream);
    else if (descriptor >= 0) close(descriptor);
    if (!unfinished.empty()) unlink(unfinished.c_str());
  }
  [[noreturn]] void refused(int error) const {
    std::string hint = error == EACCES ? "; on other machines tasks write only where weft-worker --executor-allow-path lets them" : "";
    throw IoError("cannot write '" + path + "': " + std::strerror(error) + hint);
  }

  void open() {
    std::error_code error;
    std::filesystem::path folder = std::filesystem::path(path).parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder, error);
    if (error) refused(error.value());
    // Attempts may overlap, so each has a name of its own; it lies beside the file, so that renaming is one step.
    std::string name = path + "." + Key::random().hex() + ".tmp";
    descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor < 0) refused(errno);
    unfinished = std::move(name);
    if (path.ends_with(".gz") && !(stream = gzdopen(descriptor, "wb6"))) refused(ENOMEM);
  }
  void flush() {
    std::string_view rest = buffer;
    while (!rest.empty()) {
      ssize_t count = stream ? gzwrite(stream, rest.data(), static_cast<unsigned>(std::min<std::size_t>(rest.size(), 1 << 30)))
                             : ::write(descriptor, rest.data(), rest.size());
      if (count > 0) rest.remove_prefix(count);
      else if (stream || errno != EINTR) refused(errno ? errno : EIO);
    }
    buffer.clear();
  }
};

LineWriter::LineWriter(std::string path) : file_(std::make_unique<File>()) {
  file_->path = std::move(path);
  file_->open();
}
LineWriter::~LineWriter() = default;
LineWriter::LineWriter(LineWriter&&) noexcept = default;

void LineWriter::line(std::string_view text) {
  file_->buffer.append(text).push_back('\n');
  if (file_->buffer.size() >= 256 << 10) file_->flush();
}

std::string LineWriter::finish() {
  File& file = *file_;
  file.flush();
  int code = 0;
  if (file.stream) {
    errno = 0;
    if (gzclose(std::exchange(file.stream, nullptr)) != Z_OK) code = errno ? errno : EIO;
    file.descriptor = -1;
  } else if (close(std::exchange(file.descriptor, -1)) != 0) {
    code = errno;
  }
  if (code != 0) file.refused(code);
  if (rename(file.unfinished.c_str(), file.path.c_str()) != 0) file.refused(errno);
  file.unfinished.clear();
  return file.path;
}

std::string numbered_path(const std::string& pattern, std::size_t number, std::size_t count) {
  std::string digits = std::to_string(number), last = std::to_string(count == 0 ? 0 : count - 1);
  digits.insert(0, last.size() - digits.size(), '0');
  std::string path = pattern;
  if (path.find('*') == std::string::npos) path = (std::filesystem::path(path) / "*.part").string();
  return path.replace(path.find('*'), 1, digits);
}

}  // namespace weft::detail
