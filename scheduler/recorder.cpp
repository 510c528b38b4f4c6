#include "scheduler/recorder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <weft/version.h>

#include "common/codec.h"
#include "common/crc32c.h"
#include "common/token.h"

namespace weft::scheduler {

namespace {

// A frame: size and CRC32C of its body, both 4 bytes, little end first; then the body, one of these.
struct Heading {
  std::string what, version;
  template <class A>
  void fields(A& a) {
    a(what, version);
  }
};
/// The State, in pieces; the last is followed by an empty one.
struct Piece {
  Bytes bytes;
  template <class A>
  void fields(A& a) {
    a(bytes);
  }
};
template <class Events>
struct GivenOf {
  std::uint64_t before;  // the State's fingerprint
  Time now;
  Events events;
  std::optional<Ask> question;
  template <class A>
  void fields(A& a) {
    a(before, now, events, question);
  }
};
using Given = GivenOf<std::vector<Event>>;
using Recorded = std::variant<Heading, Piece, Given>;

constexpr const char* what_it_is = "a recording of weft-scheduler";

const WorkerHello* hello_in(const Event& event) {
  const auto* from = std::get_if<FromWorker>(&event);
  return from ? std::get_if<WorkerHello>(&from->message) : nullptr;
}

Failure io_trouble(const std::string& what, const std::string& path) {
  return failure(ErrorKind::io_error, "cannot " + what + " the recording " + path + ": " + std::strerror(errno));
}

/// Nothing: the file ends here, or, when it is `cut`, within this frame.
Result<std::optional<Bytes>> read_frame(std::ifstream& file, bool& cut) {
  std::uint32_t head[2];
  file.read(reinterpret_cast<char*>(head), sizeof head);
  cut = file.gcount() != 0 && file.gcount() != sizeof head;
  if (file.gcount() != sizeof head) return std::optional<Bytes>();
  Bytes body;
  while (body.size() < head[0]) {  // a wrong size takes no more memory than there are bytes
    std::size_t got = body.size();
    body.resize(got + std::min<std::size_t>(head[0] - got, 1u << 20));
    file.read(reinterpret_cast<char*>(body.data() + got), static_cast<std::streamsize>(body.size() - got));
    if (static_cast<std::size_t>(file.gcount()) == body.size() - got) continue;
    cut = true;
    return std::optional<Bytes>();
  }
  if (crc32c(body) != head[1]) return failure(ErrorKind::protocol_error, "the recording is damaged: a checksum does not hold");
  return std::optional<Bytes>(std::move(body));
}

Result<Recorded> decode_recorded(std::span<const std::byte> body) {
  constexpr std::size_t unbounded = SIZE_MAX / 4;
  return decode<Recorded>(body, {unbounded, unbounded, unbounded});
}

/// The version that recorded it.
std::optional<std::string> read_heading(std::ifstream& file) {
  bool cut = false;
  Result<std::optional<Bytes>> first = read_frame(file, cut);
  if (!first || !*first) return {};
  Result<Recorded> frame = decode_recorded(**first);
  const Heading* heading = frame ? std::get_if<Heading>(&*frame) : nullptr;
  return heading && heading->what == what_it_is ? std::optional(heading->version) : std::nullopt;
}
bool is_recording(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return read_heading(file).has_value();
}

}  // namespace

// ------------------------------------------------------------------------------------------------ writing

Result<std::unique_ptr<Recorder>> Recorder::open(std::string path, std::uint64_t bytes_max) {
  std::error_code none;
  std::filesystem::file_status there = std::filesystem::status(path, none);
  bool is_ours = !std::filesystem::exists(there) ||
                 (std::filesystem::is_regular_file(there) && (std::filesystem::file_size(path, none) == 0 || is_recording(path)));
  if (!is_ours) return failure(ErrorKind::io_error, path + " is there and is no recording; name another file with --recorder");
  std::unique_ptr<Recorder> recorder(new Recorder(std::move(path), bytes_max));
  recorder->start_file();
  if (recorder->failure_) return *recorder->failure_;
  return recorder;
}

Recorder::~Recorder() {
  if (file_ >= 0) close(file_);
}

void Recorder::fail(const std::string& what) {
  if (!failure_) failure_ = io_trouble(what, path_);
  if (file_ >= 0) close(std::exchange(file_, -1));
}

void Recorder::append(const void* data, std::size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0 && file_ >= 0) {
    ssize_t done = ::write(file_, at, size);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return fail("write to");
    at += done;
    size -= static_cast<std::size_t>(done);
    written_ += static_cast<std::uint64_t>(done);
  }
}

void Recorder::write(std::span<const std::byte> body) {
  std::uint32_t head[2] = {static_cast<std::uint32_t>(body.size()), crc32c(body)};
  append(head, sizeof head);
  append(body.data(), body.size());
}

void Recorder::start_file() {
  if (file_ >= 0) close(std::exchange(file_, -1));
  std::error_code none;
  if (std::filesystem::file_size(path_, none) > 0 && !none && ::rename(path_.c_str(), (path_ + ".old").c_str()) != 0) return fail("put aside");
  file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file_ < 0) return fail("create");
  written_ = 0;
}

bool Recorder::ready(const State& state) {
  bool full = written_ >= files_share_ && written_ >= 2 * begun_with_;
  if (full) start_file();
  if (written_ == 0) {
    write(encode_as<Recorded>(Heading{what_it_is, WEFT_VERSION_STRING}));
    save(state, [this](Bytes piece) { write(encode_as<Recorded>(Piece{std::move(piece)})); });
    write(encode_as<Recorded>(Piece{}));
    begun_with_ = written_;
  }
  return !failure_;
}

void Recorder::step(const State& state, Time now, const std::vector<Event>& batch) {
  if (!ready(state)) return;
  if (std::any_of(batch.begin(), batch.end(), hello_in)) {
    std::vector<Event> told = batch;
    for (Event& event : told)
      if (hello_in(event)) std::get<WorkerHello>(std::get<FromWorker>(event).message).secret.assign(token_secret_size, {});
    return write(encode_as<Recorded>(Given{fingerprint(state), now, std::move(told), {}}));
  }
  encoder_.clear();  // as above, without the copy
  encoder_.array(2);
  encoder_.unsigned_integer(codec_detail::place_among<Given>(static_cast<const Recorded*>(nullptr)));
  encoder_.put(GivenOf<const std::vector<Event>&>{fingerprint(state), now, batch, {}});
  write(encoder_.bytes());
}

void Recorder::question(const State& state, Time now, const Ask& ask) {
  if (ready(state)) write(encode_as<Recorded>(Given{fingerprint(state), now, {}, ask}));
}

// ------------------------------------------------------------------------------------------------ reading

Result<Replay> Replay::open(const std::string& path) {
  Replay replay(path);
  if (!replay.file_) return failure(ErrorKind::io_error, "cannot read " + path + ": " + std::strerror(errno));
  std::optional<std::string> version = read_heading(replay.file_);
  if (!version) return failure(ErrorKind::protocol_error, path + " is no recording of weft-scheduler --recorder");
  if (*version != WEFT_VERSION_STRING)
    return failure(ErrorKind::protocol_error, path + " was recorded by weft " + *version + ", and this is " WEFT_VERSION_STRING "; use that one");
  Bytes whole;
  for (bool more = true; more;) {
    Result<std::optional<Bytes>> body = read_frame(replay.file_, replay.cut_);
    if (!body) return body.error();
    if (!*body) return failure(ErrorKind::protocol_error, path + " ends before its first step; what came before is in " + path + ".old");
    Result<Recorded> frame = decode_recorded(**body);
    const Piece* piece = frame ? std::get_if<Piece>(&*frame) : nullptr;
    if (!piece) return failure(ErrorKind::protocol_error, path + " is damaged: the state is not at its beginning");
    whole.insert(whole.end(), piece->bytes.begin(), piece->bytes.end());
    more = !piece->bytes.empty();
  }
  Result<State> state = load(whole);
  if (!state) return failure(ErrorKind::protocol_error, path + " was recorded by another build of this version: " + state.error().message);
  replay.state_ = std::make_unique<State>(std::move(*state));
  return replay;
}

Result<bool> Replay::next() {
  Result<std::optional<Bytes>> body = read_frame(file_, cut_);
  if (!body) return body.error();
  if (!*body) return false;
  Result<Recorded> frame = decode_recorded(**body);
  if (!frame) return frame.error();
  auto* given = std::get_if<Given>(&*frame);
  if (!given) return failure(ErrorKind::protocol_error, "the recording is damaged: it has something else than a step");
  if (given->before != fingerprint(*state_))
    return failure(ErrorKind::protocol_error, "step " + std::to_string(steps_) + " went another way here than when it was recorded: this is another build, or "
                                              "something else than events decided there");
  ++steps_;
  events_ += given->events.size();
  now_ = given->now;
  if (steps_ == 1) began_ = now_;
  if (given->question) static_cast<void>(state_->answer(now_, *given->question));
  else static_cast<void>(state_->step(now_, std::move(given->events)));
  return true;
}

}  // namespace weft::scheduler
