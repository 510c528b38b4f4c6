// A scheduler's store whose files were damaged: it is refused with a sentence, or holds exactly what was committed; never less.
#include "scheduler/state.h"
#include "scheduler/store.h"
#include "scratch_folder.h"

namespace {

using namespace weft;
using namespace weft::fuzz;
using namespace weft::scheduler;

constexpr const char* files[] = {"store.db", "commit"};

/// What a small scheduler would have kept.
std::vector<Row> some_rows() {
  StoredSession session{.session = {1, 1}, .holder = 7, .name = "c", .executed = 2};
  StoredWants wants{.holder = 7, .number = 1, .keys = {Key{2, 1}}};
  StoredTask task{.key = {2, 1}, .errors = 1};
  std::vector<Row> rows{row_of(session), row_of(wants), row_of(task), row_of(StoredWorker{"w1"}), row_of(StoredName{9, "n", Bytes(300, std::byte{4})})};
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.id < b.id; });
  return rows;
}
bool same(const std::vector<Row>& a, const std::vector<Row>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Row& x, const Row& y) { return x.id == y.id && x.body == y.body; });
}

/// The files of a store that was closed in order.
struct Original {
  std::vector<Bytes> bytes;
  std::vector<Row> rows = some_rows();
  Original() {
    ScratchFolder folder;
    auto store = open_sqlite_store({.folder = folder.path() + "/store"});
    promise(bool(store) && bool((*store)->next_epoch(0)) && bool((*store)->commit(rows)) && bool((*store)->commit({})), "a store can be made");
    store->reset();
    for (const char* name : files) bytes.push_back(ScratchFolder::read(folder.path() + "/store/" + name));
  }
};

void run(Input input) {
  static const Original original;
  static ScratchFolder folder;
  std::filesystem::remove_all(folder.path() + "/store");
  std::filesystem::create_directory(folder.path() + "/store");
  std::filesystem::permissions(folder.path() + "/store", std::filesystem::perms::owner_all);
  Source source(input);
  std::size_t which = source.below(4);
  for (std::size_t i = 0; i < std::size(files); ++i) {
    Bytes bytes = original.bytes[i];
    if (which == i || which == 2) damage(bytes, source);
    folder.write(std::string("store/") + files[i], bytes);
  }
  if (which == 3) folder.write("store/store.db-wal", source.rest());
  auto store = open_sqlite_store({.folder = folder.path() + "/store"});
  if (!store) return promise(store.error().kind == ErrorKind::io_error && !store.error().message.empty(), "a damaged store is refused with a sentence");
  auto rows = (*store)->load();
  if (!rows) return promise(rows.error().kind == ErrorKind::io_error, "a damaged row is refused");
  promise(same(*rows, original.rows), "a store that opens holds what was committed");
}

Seeds seeds() {
  Seeds all = stories(4);
  for (auto& [name, bytes] : all) bytes.resize(70);
  return all;
}

}  // namespace

WEFT_FUZZ_TARGET("store", run, seeds, 300);
