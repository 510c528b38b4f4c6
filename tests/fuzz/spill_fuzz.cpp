// Spill files that were damaged: a value comes back as it was, or is lost; never other bytes.
#include "scratch_folder.h"
#include "worker/spill.h"

namespace {

using namespace weft;
using namespace weft::fuzz;
using namespace weft::worker;

void run(Input input) {
  static ScratchFolder scratch;
  static auto folder = SpillFolder::open(scratch.path(), 0);
  promise(static_cast<bool>(folder), "there is room for a folder");
  Source source(input);
  Bytes first(source.below(3) == 0 ? 70'000 : source.byte(), std::byte{1}), second(source.byte(), std::byte{2});
  SpillItem items[] = {{Key{2, 1}, Buffer::own(Bytes(first))}, {Key{2, 2}, Buffer::own(Bytes(second))}};
  auto records = write_records(*folder, items);
  promise(static_cast<bool>(records), "it can be written");
  const std::string& path = (*records)[0].file->path();
  Bytes bytes = ScratchFolder::read(path);
  damage(bytes, source);
  std::filesystem::resize_file(path, 0);
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  for (std::size_t i : {0, 1}) {
    const Bytes& right = i ? second : first;
    Bytes back(right.size());
    Result<void> read = read_record((*records)[i], items[i].key, back);
    promise(read ? back == right : read.error().kind == ErrorKind::data_lost, "a damaged record is lost, another is right");
    auto place = SpillPlace::open((*records)[i], items[i].key);
    if (!place) promise(place.error().kind == ErrorKind::data_lost, "a damaged mapping is lost");
    else promise(std::equal(right.begin(), right.end(), (*place)->bytes().begin(), (*place)->bytes().end()), "a mapping is right");
    promise(bool(read) == bool(place), "both ways of reading agree");
  }
}

Seeds seeds() {
  Seeds all = stories(4);
  for (auto& [name, bytes] : all) bytes.resize(70);
  return all;
}

}  // namespace

WEFT_FUZZ_TARGET("spill", run, seeds, 60);
