// A check: what must hold, said as a figure, and a function that looks and says what it saw.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace weft::reliability {

enum class Verdict { met, missed, absent };
struct Outcome {
  std::string seen;
  Verdict verdict = Verdict::missed;
};
inline Outcome judged(bool met, std::string seen) { return {std::move(seen), met ? Verdict::met : Verdict::missed}; }

/// How long a check may take: seconds, in ./dev test, or what its figure asks for.
enum class Scale { quick, full };

struct Check {
  std::string id;
  std::string figure;                    // to meet in a full run
  std::string quick_figure;              // of the same check in a quick run; empty: it has only a full run
  std::function<Outcome(Scale)> look;
};

/// A1 to A50 of the reference, in its order.
const std::vector<Check>& all_checks();

/// What a check's own machinery cannot go on without; ends the check as missed.
inline void need(bool good, const std::string& sentence) {
  if (!good) throw std::runtime_error(sentence);
}

Outcome chaos(Scale);                    // chaos.cpp
Outcome scheduler_deaths(Scale);         // scheduler_checks.cpp
Outcome restart_with_live_tasks(Scale);
Outcome death_at_every_write(Scale);
Outcome stopped_scheduler(Scale);
Outcome damaged_store(Scale);            // disk_checks.cpp
Outcome full_spill_disk(Scale);
Outcome damaged_spill(Scale);
Outcome worker_deaths(Scale);            // link_checks.cpp
Outcome short_partitions(Scale);
Outcome long_partitions(Scale);
Outcome client_resets(Scale);            // client_checks.cpp
Outcome vanished_client(Scale);
Outcome fire_and_forget(Scale);
Outcome crashers(Scale);                 // executor_checks.cpp
Outcome runaways(Scale);
Outcome memory_bombs(Scale);
Outcome leaks(Scale);
Outcome exceptions(Scale);
Outcome clock_jumps(Scale);              // life_checks.cpp
Outcome drain(Scale);
Outcome bad_starts(Scale);
Outcome shutdown_in_flight(Scale);
Outcome deaf_viewers(Scale);             // load_checks.cpp
Outcome sustained_load(Scale);
Outcome soak(Scale);
Outcome failing_allocations(Scale);      // code_checks.cpp
Outcome style(Scale);

}  // namespace weft::reliability
