// Text files in, text files out: read_text finds the files where the workers are, to_textfiles writes one file per partition.
#include <weft/bag.h>
#include <weft/weft.h>

#include <filesystem>
#include <fstream>
#include <iostream>

int main(int argc, char** argv) {
  weft::init(argc, argv);
  weft::Client client;
  auto folder = std::filesystem::temp_directory_path() / ("weft_text_files." + weft::Key::random().hex());
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "a.log") << "ok 1\nerror disk full\nok 2\n";
  std::ofstream(folder / "b.log") << "error no route\nok 3\n";

  auto is_error = [](std::string_view line) { return line.starts_with("error "); };
  auto text = [](std::string_view line) { return std::string(line.substr(6)); };
  auto errors = weft::read_text((folder / "*.log").string()).filter(is_error).map(text);
  std::cout << errors.count().compute(client) << " errors\n";

  for (const std::string& path : errors.to_textfiles(client, (folder / "errors-*.txt").string())) {
    std::cout << std::filesystem::path(path).filename().string() << ":\n" << std::ifstream(path).rdbuf();
  }
  std::filesystem::remove_all(folder);
}
