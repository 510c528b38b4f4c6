// The store as an SQLite file (WAL, synchronous=FULL). SQLite opens quietly after a disk lost commits or a page changed, so each
// row has a checksum, the number of rows is kept, and a file outside the WAL says which commit was the last.
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common/crc32c.h"
#include "common/process.h"
#include "scheduler/store.h"

namespace weft::scheduler {

namespace {

constexpr int format = 2;
constexpr int application = 0x57454654;  // "WEFT", so that `file` knows it

/// How far the store is; each commit's `chain` depends on all before it.
struct Progress {
  std::uint64_t number = 0, chain = 0, previous = 0, epoch = 0, rows = 0;
};

std::uint32_t checksum(const RowId& id, std::span<const std::byte> body) {
  std::uint64_t numbers[] = {static_cast<std::uint64_t>(id.kind), id.a, id.b};
  return crc32c(body, crc32c(std::as_bytes(std::span(numbers))));
}

/// The number of the last commit, in two places in turn, so that a torn write leaves the one before.
class CommitFile {
 public:
  struct Mark {
    std::uint64_t number = 0, chain = 0, check = 0;
  };
  ~CommitFile() {
    if (file_ >= 0) ::close(file_);
  }
  bool open(const std::string& path) {
    file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return file_ >= 0;
  }
  std::optional<Mark> read() const {
    std::optional<Mark> last;
    for (int place : {0, 1}) {
      Mark mark;
      if (pread(file_, &mark, sizeof mark, place * 4096) != static_cast<ssize_t>(sizeof mark)) continue;
      if (mark.check == check(mark) && (!last || mark.number > last->number)) last = mark;
    }
    return last;
  }
  bool write(std::uint64_t number, std::uint64_t chain) {
    Mark mark{number, chain, 0};
    mark.check = check(mark);
    return pwrite(file_, &mark, sizeof mark, static_cast<off_t>(number % 2) * 4096) == static_cast<ssize_t>(sizeof mark) &&
           fdatasync(file_) == 0;
  }

 private:
  static std::uint64_t check(const Mark& mark) {
    std::uint64_t numbers[] = {mark.number, mark.chain};
    return 0x5745465400000000 | crc32c(std::as_bytes(std::span(numbers)));
  }
  int file_ = -1;
};

class Statement {
 public:
  Statement() = default;
  Statement(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }
  int prepare(sqlite3* database, const char* text) { return sqlite3_prepare_v2(database, text, -1, &statement_, nullptr); }
  void bind(int place, std::uint64_t number) { sqlite3_bind_int64(statement_, place, static_cast<sqlite3_int64>(number)); }
  void bind(int place, std::span<const std::byte> bytes) {
    // A null pointer would be NULL; the bytes outlive the step.
    sqlite3_bind_blob64(statement_, place, bytes.empty() ? "" : static_cast<const void*>(bytes.data()), bytes.size(), SQLITE_STATIC);
  }
  int step() { return sqlite3_step(statement_); }
  void reset() { sqlite3_reset(statement_); }
  std::uint64_t number(int column) const { return static_cast<std::uint64_t>(sqlite3_column_int64(statement_, column)); }
  std::span<const std::byte> bytes(int column) const {
    const void* data = sqlite3_column_blob(statement_, column);
    return {static_cast<const std::byte*>(data), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
  }

 private:
  sqlite3_stmt* statement_ = nullptr;
};

class SqliteStore : public Store {
 public:
  explicit SqliteStore(const StoreOptions& options) : options_(options) {}
  ~SqliteStore() override {
    for (std::unique_ptr<Statement>* s : {&put_, &erase_, &erase_all_, &advance_}) s->reset();
    sqlite3_close(database_);
    if (new_) take_away();
  }

  Result<void> open();
  Result<std::vector<Row>> load() override;
  Result<void> commit(std::span<const Row> rows) override;
  Result<std::uint64_t> next_epoch(std::uint64_t least) override;
  void keep() override { new_ = false; }

 private:
  void take_away() const;
  Result<void> make_or_check();
  Result<void> check_progress();
  Result<void> write(std::span<const Row> rows, Progress& next);
  Result<void> run(const char* text);
  Failure wrong(const std::string& what) const {
    return failure(ErrorKind::io_error, "the store in " + options_.folder + ' ' + what);
  }
  Failure damaged(const std::string& how) const {
    return wrong("is damaged (" + how + "): put back a copy of the folder, or move it away to begin without what it held");
  }
  /// What SQLite says about its last call.
  Failure trouble(const std::string& doing) const {
    int code = sqlite3_errcode(database_);
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) return damaged(sqlite3_errmsg(database_));
    if (code == SQLITE_FULL) return wrong("cannot " + doing + ": its disk is full; make room and start the scheduler again, nothing acknowledged is lost");
    int system = sqlite3_system_errno(database_);
    return wrong("cannot " + doing + ": " + sqlite3_errmsg(database_) + (system ? std::string(" (") + std::strerror(system) + ')' : ""));
  }

  StoreOptions options_;
  PidFile lock_;
  CommitFile commits_;
  sqlite3* database_ = nullptr;
  std::unique_ptr<Statement> put_, erase_, erase_all_, advance_;
  Progress progress_;
  bool new_ = false;  // made by us, and on trial
  bool lost_tables_ = false;  // they had been made before, and were gone
};

Result<void> SqliteStore::open() {
  if (auto made = make_private_folder(options_.folder); !made) return failure(ErrorKind::io_error, made.error().message);
  Result<PidFile> lock = PidFile::create(options_.folder + "/pid");
  if (!lock && lock.error().kind == ErrorKind::io_error) return wrong("cannot be opened: " + lock.error().message + "; make room if the disk is full, or name another folder with --store");
  if (!lock) return wrong("is used by another scheduler: " + lock.error().message + "; stop it, or name another folder with --store");
  lock_ = std::move(*lock);
  std::string path = options_.folder + "/store.db";
  // Arguments of users are inside; SQLite gives its other files the same mode.
  if (int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600); file >= 0) fchmod(file, 0600), ::close(file);
  if (sqlite3_open_v2(path.c_str(), &database_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK)
    return trouble("be opened");
  sqlite3_extended_result_codes(database_, 0);
  if (auto good = make_or_check(); !good) return good;
  if (!commits_.open(options_.folder + "/commit")) return wrong(std::string("cannot be opened: ") + std::strerror(errno));
  for (const char* text : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA locking_mode=EXCLUSIVE"})
    if (auto done = run(text); !done) return done;
  auto prepare = [&](std::unique_ptr<Statement>& statement, const char* text) {
    statement = std::make_unique<Statement>();
    return statement->prepare(database_, text) == SQLITE_OK;
  };
  if (!prepare(put_, "INSERT INTO row VALUES(?,?,?,?,?)") || !prepare(erase_, "DELETE FROM row WHERE kind=? AND a=? AND b=?") ||
      !prepare(erase_all_, "DELETE FROM row WHERE kind=? AND a=?") ||
      !prepare(advance_, "UPDATE progress SET number=?, chain=?, previous=?, epoch=?, rows=?"))
    return trouble("be used");
  return check_progress();
}

Result<void> SqliteStore::run(const char* text) {
  if (sqlite3_exec(database_, text, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return trouble("be written");
}

/// A new file gets its tables; an old one must be of our format.
Result<void> SqliteStore::make_or_check() {
  std::uint64_t found = 0, owner = 0, tables = 0;
  auto ask = [&](const char* text, std::uint64_t& answer) {
    Statement statement;
    if (statement.prepare(database_, text) != SQLITE_OK || statement.step() != SQLITE_ROW) return false;
    answer = statement.number(0);
    return true;
  };
  if (!ask("PRAGMA user_version", found) || !ask("PRAGMA application_id", owner) || !ask("SELECT count(*) FROM sqlite_master", tables))
    return trouble("be read");
  if (found == 0 && owner == 0 && tables == 0) {
    // The commit file is made after the tables: where it is, they were.
    lost_tables_ = ::access((options_.folder + "/commit").c_str(), F_OK) == 0;
    std::string text = "BEGIN IMMEDIATE;"
        "CREATE TABLE row(kind INTEGER, a INTEGER, b INTEGER, body BLOB NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY(kind,a,b)) WITHOUT ROWID;"
        "CREATE TABLE progress(number INTEGER, chain INTEGER, previous INTEGER, epoch INTEGER, rows INTEGER);"
        "INSERT INTO progress VALUES(0,0,0,0,0);"
        "PRAGMA application_id=" + std::to_string(application) + ";PRAGMA user_version=" + std::to_string(format) + ";COMMIT";
    return run(text.c_str());
  }
  if (owner != application) return wrong("is no store of Weft: name another folder with --store");
  if (found != format)
    return wrong("has format " + std::to_string(found) + ", this release reads format " + std::to_string(format) +
                 ": start the release that wrote it, or name another folder with --store");
  return {};
}

/// While the lock is still ours.
void SqliteStore::take_away() const {
  for (const char* name : {"store.db", "store.db-wal", "store.db-shm", "commit"}) ::unlink((options_.folder + '/' + name).c_str());
}

/// Whether the disk still has every commit that it confirmed.
Result<void> SqliteStore::check_progress() {
  Statement statement;
  if (statement.prepare(database_, "SELECT number, chain, previous, epoch, rows FROM progress") != SQLITE_OK) return trouble("be read");
  if (statement.step() != SQLITE_ROW) return damaged("it does not say how far it is");
  progress_ = {statement.number(0), statement.number(1), statement.number(2), statement.number(3), statement.number(4)};
  std::optional<CommitFile::Mark> mark = commits_.read();
  new_ = options_.on_trial && !mark && progress_.number == 0;
  if (!mark && lost_tables_) return damaged("its files are empty or unreadable");
  if (!mark && progress_.number <= 1) return {};  // it was just being made
  if (!mark) return damaged("its file 'commit' is missing or unreadable");
  bool same = mark->number == progress_.number && mark->chain == progress_.chain;
  bool one_ahead = mark->number + 1 == progress_.number && mark->chain == progress_.previous;
  if (same || one_ahead) return {};
  if (mark->number <= progress_.number) return damaged("its files are of different times");
  if (options_.accept_loss) {
    progress_.number = mark->number;  // what comes now is later than anything that was lost
    return {};
  }
  return wrong("has lost its last " + std::to_string(mark->number - progress_.number) + " commits, which the disk had confirmed (it is at " +
               std::to_string(progress_.number) + " of " + std::to_string(mark->number) +
               "): put back a copy of the folder, or start with --store-accept-loss, and clients are told what is gone");
}

Result<std::vector<Row>> SqliteStore::load() {
  Statement statement;
  if (statement.prepare(database_, "SELECT kind, a, b, body, crc FROM row ORDER BY kind, a, b") != SQLITE_OK) return trouble("be read");
  std::vector<Row> rows;
  int code;
  while ((code = statement.step()) == SQLITE_ROW) {
    RowId id{static_cast<RowKind>(statement.number(0)), statement.number(1), statement.number(2)};
    auto body = statement.bytes(3);
    if (checksum(id, body) != statement.number(4)) return damaged("a row of kind " + std::to_string(statement.number(0)) + " has a wrong checksum");
    rows.push_back({id, Bytes(body.begin(), body.end())});
  }
  if (code != SQLITE_DONE) return trouble("be read");
  if (rows.size() != progress_.rows)
    return damaged(std::to_string(rows.size()) + " rows are there, " + std::to_string(progress_.rows) + " were written");
  return rows;
}

Result<void> SqliteStore::write(std::span<const Row> rows, Progress& next) {
  auto change = [&](Statement& statement) {
    bool done = statement.step() == SQLITE_DONE;
    statement.reset();
    return done;
  };
  for (const Row& row : rows) {
    Statement& erase = row.all ? *erase_all_ : *erase_;
    erase.bind(1, static_cast<std::uint64_t>(row.id.kind));
    erase.bind(2, row.id.a);
    if (!row.all) erase.bind(3, row.id.b);
    if (!change(erase)) return trouble("be written");
    next.rows -= static_cast<std::uint64_t>(sqlite3_changes(database_));
    std::uint64_t link[] = {next.chain, row.body ? checksum(row.id, *row.body) : 1, row.id.a, row.id.b};
    next.chain = next.chain << 32 | crc32c(std::as_bytes(std::span(link)));
    if (!row.body) continue;
    put_->bind(1, static_cast<std::uint64_t>(row.id.kind));
    put_->bind(2, row.id.a);
    put_->bind(3, row.id.b);
    put_->bind(4, *row.body);
    put_->bind(5, std::uint64_t(checksum(row.id, *row.body)));
    if (!change(*put_)) return trouble("be written");
    ++next.rows;
  }
  std::uint64_t numbers[] = {next.number, next.chain, next.previous, next.epoch, next.rows};
  for (int i = 0; i < 5; ++i) advance_->bind(i + 1, numbers[i]);
  if (!change(*advance_)) return trouble("be written");
  return {};
}

Result<void> SqliteStore::commit(std::span<const Row> rows) {
  if (!rows.empty()) keep();
  Progress next = progress_;
  ++next.number;
  next.previous = progress_.chain;
  if (auto begun = run("BEGIN IMMEDIATE"); !begun) return begun;
  Result<void> written = write(rows, next);
  if (written) written = run("COMMIT");
  if (!written) {
    sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
    return written;
  }
  progress_ = next;
  if (!commits_.write(next.number, next.chain)) return wrong(std::string("cannot be written: ") + std::strerror(errno));
  return {};
}

Result<std::uint64_t> SqliteStore::next_epoch(std::uint64_t least) {
  progress_.epoch = std::max(least, progress_.epoch + 1);
  if (auto done = commit({}); !done) return done.error();
  return progress_.epoch;
}

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite_store(const StoreOptions& options) {
  auto store = std::make_unique<SqliteStore>(options);
  if (auto opened = store->open(); !opened) return opened.error();
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace weft::scheduler
