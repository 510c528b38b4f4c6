#include "simulation/plan.h"

#include <algorithm>

#include "simulation/random.h"

namespace weft::simulation {

// Of one kind in one run; more would only repeat themselves.
static constexpr std::size_t faults_max = 200;

static const char* const kind_names[fault_kinds] = {"worker_kill", "link_cut", "link_half_cut", "link_freeze", "link_one_way", "worker_pause",
                                                    "value_damage", "worker_retire", "worker_pressure", "scheduler_death", "scheduler_pause",
                                                    "value_rot", "worker_revoked", "scheduler_amnesia", "host_death"};

/// `alone`: only this kind, and more of it.
static void draw_faults(Plan& plan, std::uint64_t seed, FaultKind kind, bool alone) {
  struct Rate {
    FaultKind kind;
    std::uint64_t percent;  // of seeds that have it
    Duration low, high;     // mean time between two
  };
  static const Rate rates[] = {{FaultKind::worker_kill, 40, 20ms, 5s},      {FaultKind::link_cut, 40, 10ms, 3s},
                               {FaultKind::link_half_cut, 30, 50ms, 5s},    {FaultKind::link_freeze, 30, 50ms, 10s},
                               {FaultKind::link_one_way, 20, 50ms, 10s},    {FaultKind::worker_pause, 20, 100ms, 10s},
                               {FaultKind::value_damage, 30, 5ms, 1s},      {FaultKind::worker_retire, 20, 100ms, 10s},
                               {FaultKind::worker_pressure, 20, 100ms, 5s}, {FaultKind::scheduler_death, 40, 50ms, 5s},
                               {FaultKind::scheduler_pause, 10, 1s, 10s},   {FaultKind::value_rot, 15, 5ms, 1s},
                               {FaultKind::worker_revoked, 10, 100ms, 5s},  {FaultKind::scheduler_amnesia, 5, 500ms, 5s},
                               {FaultKind::host_death, 20, 50ms, 2s}};
  for (const Rate& rate : rates) {
    // A generator for each kind, so that one kind does not shift another.
    Random random(seed ^ (0xfa17 + static_cast<std::uint64_t>(rate.kind) * 0x10001));
    if (alone ? rate.kind != kind : !random.chance(rate.percent)) continue;
    std::uint64_t mean = static_cast<std::uint64_t>(rate.low.count()) + random.below(static_cast<std::uint64_t>((rate.high - rate.low).count()));
    if (alone) mean /= 4;
    Duration when{};
    for (std::size_t i = 0; i < faults_max; ++i) {
      when += Duration(static_cast<std::int64_t>(random.below(2 * mean)));
      if (when >= plan.faults_until) break;
      plan.faults.push_back({when, rate.kind, random.next()});
    }
  }
  std::stable_sort(plan.faults.begin(), plan.faults.end(), [](const Fault& a, const Fault& b) { return a.when < b.when; });
}

Plan Plan::draw(std::uint64_t seed) {
  Random random(seed ^ 0x5eed);
  Plan plan{.seed = seed, .network_seed = seed};
  plan.workers = static_cast<std::uint32_t>(random.between(1, 4));
  plan.clients = static_cast<std::uint32_t>(random.between(1, 2));
  plan.graphs = static_cast<std::uint32_t>(random.between(1, 3));
  // Small graphs find most; large ones find what grows too fast.
  std::uint64_t size = random.below(1000);
  plan.tasks = size < 1 ? 400 : size < 250 ? 30 : 8;
  std::uint64_t span = random.below(8);
  plan.faults_until = span == 0 ? 20s : span < 3 ? 6s : 2s;
  auto percent = [&](std::uint64_t on, std::uint64_t max) {
    bool is_on = random.chance(on);
    std::uint64_t value = random.between(1, max);
    return static_cast<std::uint32_t>(is_on ? value : 0);
  };
  plan.throw_percent = percent(30, 30);
  plan.crash_percent = percent(30, 30);
  plan.fetch_fail_percent = percent(30, 40);
  plan.cancel_percent = percent(30, 40);
  plan.release_early_percent = percent(30, 40);
  plan.scatter_percent = percent(30, 50);
  plan.share_percent = percent(30, 50);
  plan.late_end_percent = percent(30, 100);
  plan.late_frame_percent = percent(20, 100);
  plan.trees = random.chance(30);
  std::uint64_t slow = random.below(3);
  plan.delay_max = slow == 0 ? 200us : slow == 1 ? 5ms : 300ms;
  plan.impure = random.chance(30);
  // Some seeds have one kind of fault only, or none: what must not happen under it can be asked sharply.
  std::uint64_t sharp = random.below(20);
  if (sharp < 3) plan.throw_percent = plan.crash_percent = plan.fetch_fail_percent = plan.late_frame_percent = 0;
  draw_faults(plan, seed, sharp == 0 ? FaultKind::scheduler_death : FaultKind::worker_retire, sharp < 2);
  if (sharp == 0) plan.impure = random.chance(70);
  if (sharp == 1) plan.workers = std::max(plan.workers, 2u);
  if (sharp == 2) plan.faults.clear();
  plan.once = plan.impure && random.chance(40);
  // Who dies as a worker joins is found by few seeds otherwise.
  if (random.chance(sharp == 0 ? 70 : 20)) plan.join_until = random.below(1s);
  if (random.chance(20)) plan.transfer_max = random.below(5s);
  plan.twice_percent = percent(30, 50);
  plan.reserve_percent = percent(20, 50);
  return plan;
}

bool Plan::has(FaultKind kind) const {
  return std::any_of(faults.begin(), faults.end(), [&](const Fault& fault) { return fault.kind == kind; });
}

bool Plan::only(FaultKind kind) const {
  return throw_percent + crash_percent + fetch_fail_percent + late_frame_percent == 0 &&
         std::all_of(faults.begin(), faults.end(), [&](const Fault& fault) { return fault.kind == kind; });
}

/// What differs from a plan that asks for nothing, as designated initializers.
static std::string fields(const Plan& plan, bool with_faults) {
  const Plan plain;
  std::string text = ".seed = " + std::to_string(plan.seed) + "u, .network_seed = " + std::to_string(plan.network_seed) + "u";
  auto number = [&](const char* name, auto value, auto usual) {
    if (value != usual) text += std::string(", .") + name + " = " + std::to_string(value);
  };
  auto flag = [&](const char* name, bool value) {
    if (value) text += std::string(", .") + name + " = true";
  };
  auto time = [&](const char* name, Duration value, Duration usual) {
    if (value != usual) text += std::string(", .") + name + " = " + std::to_string(value / 1us) + "us";
  };
  number("workers", plan.workers, plain.workers);
  number("clients", plan.clients, plain.clients);
  number("graphs", plan.graphs, plain.graphs);
  number("tasks", plan.tasks, plain.tasks);
  time("faults_until", plan.faults_until, plain.faults_until);
  time("join_until", plan.join_until, plain.join_until);
  time("transfer_max", plan.transfer_max, plain.transfer_max);
  number("throw_percent", plan.throw_percent, 0u);
  number("crash_percent", plan.crash_percent, 0u);
  number("fetch_fail_percent", plan.fetch_fail_percent, 0u);
  number("cancel_percent", plan.cancel_percent, 0u);
  number("release_early_percent", plan.release_early_percent, 0u);
  number("scatter_percent", plan.scatter_percent, 0u);
  number("share_percent", plan.share_percent, 0u);
  number("twice_percent", plan.twice_percent, 0u);
  number("reserve_percent", plan.reserve_percent, 0u);
  number("late_end_percent", plan.late_end_percent, 0u);
  number("late_frame_percent", plan.late_frame_percent, 0u);
  flag("impure", plan.impure);
  flag("once", plan.once);
  flag("trees", plan.trees);
  number("snapshot_every", plan.snapshot_every, 0u);
  time("delay_max", plan.delay_max, plain.delay_max);
  if (!with_faults || plan.faults.empty()) return text;
  text += ",\n            .faults = {";
  for (std::size_t i = 0; i < plan.faults.size(); ++i) {
    const Fault& fault = plan.faults[i];
    text += (i ? ",\n                       {" : "{") + std::to_string(fault.when.count()) + "ns, FaultKind::" +
            kind_names[static_cast<int>(fault.kind)] + ", " + std::to_string(fault.draw) + "u}";
  }
  return text + "}";
}

std::string Plan::text() const {
  std::string text = fields(*this, false);
  for (int kind = 0; kind < fault_kinds; ++kind) {
    auto count = std::count_if(faults.begin(), faults.end(), [&](const Fault& fault) { return static_cast<int>(fault.kind) == kind; });
    if (count) text += std::string(" ") + kind_names[kind] + "*" + std::to_string(count);
  }
  return text;
}

std::string Plan::as_test(const std::string& title) const {
  return "TEST_CASE(\"" + title + "\") {\n  Plan plan{" + fields(*this, true) + "};\n  CHECK(run(plan).error == \"\");\n}\n";
}

}  // namespace weft::simulation
