"""Ray in the suite: one node with W CPUs, no dashboard. Same protocol as dask_peer.py."""
import json, os, sys, time

os.environ.setdefault("RAY_DEDUP_LOGS", "0")
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray


@ray.remote
def noop(x):
    return x


@ray.remote
def inc(x):
    return x + 1


@ray.remote
def add(a, b):
    return a + b


def timed(tasks, run, rate=True):
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    return {"value": tasks / seconds if rate else seconds / tasks * 1e6, "seconds": seconds}


def bag(scale):
    n = int(10_000 * scale)  # its rate does not depend on the size
    return timed(n, lambda: ray.get([noop.remote(i) for i in range(n)]))


def tree(scale):
    leaves = 2 ** 12 if scale == 1 else 2 ** 9

    def run():
        level = [inc.remote(i) for i in range(leaves)]
        while len(level) > 1:
            level = [add.remote(level[i], level[i + 1]) for i in range(0, len(level), 2)]
        assert ray.get(level[0]) == leaves * (leaves + 1) // 2
    return timed(2 * leaves - 1, run)


def chain(scale):
    n = int(2_000 * scale)

    def run():
        link = inc.remote(0)
        for _ in range(n - 1):
            link = inc.remote(link)
        assert ray.get(link) == n
    return timed(n, run, rate=False)


def submit(scale, count, idle):
    times = []
    for i in range(max(10, int(count * scale))):
        if idle:
            time.sleep(idle)
        began = time.perf_counter()
        ray.get(noop.remote(i))
        times.append(time.perf_counter() - began)
    times.sort()
    return {"value": times[len(times) // 2] * 1e6, "p99_us": times[len(times) * 99 // 100] * 1e6}


def main():
    ray.init(num_cpus=int(sys.argv[2]), include_dashboard=False, logging_level="ERROR", log_to_driver=False,
             object_store_memory=512 << 20)
    suite = {"B1": bag, "B3": tree, "B5": chain, "B6": lambda s: submit(s, 1000, 0), "B6i": lambda s: submit(s, 100, 0.025)}
    ray.get([noop.remote(i) for i in range(1000)])
    print(json.dumps({"ready": True, "version": ray.__version__}), flush=True)
    for line in open(sys.argv[1]):
        name, size = line.split()
        try:
            answer = suite[name](0.1 if size == "warm" else 1)
        except Exception as error:
            answer = {"error": repr(error)[:300]}
        print(json.dumps(answer), flush=True)
    ray.shutdown()


if __name__ == "__main__":
    main()
