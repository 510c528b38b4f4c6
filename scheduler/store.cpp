#include "scheduler/store.h"

namespace weft::scheduler {

Result<std::vector<Record>> load_records(Store& store) {
  Result<std::vector<Row>> rows = store.load();
  if (!rows) return rows.error();
  std::vector<Record> records;
  records.reserve(rows->size());
  for (Row& row : *rows) {
    Result<Record> record = record_of(row);
    if (!record) return failure(ErrorKind::io_error, "the store has a row that this release cannot read: " + record.error().message);
    row.body.reset();
    records.push_back(std::move(*record));
  }
  return records;
}

}  // namespace weft::scheduler
