#include "scheduler/store_records.h"

#include "common/codec.h"

namespace weft::scheduler {

Row row_of(const Record& record) {
  if (const auto* erased = std::get_if<Erased>(&record)) return {erased->row, std::nullopt, erased->all};
  return std::visit(
      [](const auto& stored) -> Row {
        if constexpr (requires { stored.all; }) return {};
        else return {stored.id(), encode(stored)};
      },
      record);
}

template <class Stored>
static Result<Record> read(const Row& row) {
  Result<Stored> stored = decode<Stored>(*row.body);
  if (!stored) return stored.error();
  if (stored->id() != row.id) return failure(ErrorKind::io_error, "a row lies under another row's name");
  return Record(std::move(*stored));
}

Result<Record> record_of(const Row& row) {
  switch (row.id.kind) {
    case RowKind::program: return read<StoredProgram>(row);
    case RowKind::session: return read<StoredSession>(row);
    case RowKind::name: return read<StoredName>(row);
    case RowKind::intent: return read<StoredIntent>(row);
    case RowKind::task: return read<StoredTask>(row);
    case RowKind::wants: return read<StoredWants>(row);
    case RowKind::worker: return read<StoredWorker>(row);
    case RowKind::none: break;
  }
  return failure(ErrorKind::io_error, "a row of an unknown kind");
}

}  // namespace weft::scheduler
