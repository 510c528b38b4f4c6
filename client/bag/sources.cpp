// Bags that begin somewhere: text files and ranges of numbers.
#include <weft/bag.h>

namespace weft {
namespace {

struct CutFiles {
  std::vector<detail::TextPartition> operator()(std::vector<std::string> patterns, std::uint64_t blocksize) const {
    return detail::cut_files(patterns, blocksize);
  }
};

}  // namespace

TextBag read_text(std::vector<std::string> patterns, const TextOptions& options) {
  if (patterns.empty()) throw InvalidArgument("read_text needs at least one pattern");
  if (options.blocksize == 0) throw InvalidArgument("a block of text has at least 1 byte");
  for (std::string& pattern : patterns) {
    if (pattern.empty()) throw InvalidArgument("a pattern of read_text is empty; write a path or a pattern, such as \"data/*.txt\"");
    pattern = detail::absolute_path(pattern);
  }
  return TextBag(detail::make_stage<detail::TextPartition>({}, [patterns, options](detail::Plan& plan) {
    // Files change, so they are looked at each time; the slices' keys then say which edition they are of.
    auto found = plan.call_impure("find_files", CutFiles{}, patterns, options.blocksize);
    return Future<std::vector<detail::TextPartition>>(plan.start({found.ref})[0]).result();
  }));
}

Bag<std::int64_t, detail::Pipe<detail::RangeSource>> range(std::int64_t n, std::size_t partitions) {
  if (n < 0) throw InvalidArgument("a range cannot have " + std::to_string(n) + " elements");
  std::size_t count = detail::partitions_for(n, partitions);
  std::vector<detail::RangeSlice> slices(count);
  std::int64_t each = n / static_cast<std::int64_t>(count), more = n % static_cast<std::int64_t>(count), first = 0;
  for (detail::RangeSlice& slice : slices) {
    slice = {first, 1, each + (more-- > 0 ? 1 : 0)};
    first += slice.count;
  }
  return {detail::known_stage(std::move(slices))};
}

}  // namespace weft
