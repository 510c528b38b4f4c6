"""The suite's workloads for Dask, as the reference defines them (B1 to B10)."""
import time, uuid
from operator import add

import dask_shapes
import dask_work as work


def suite(cluster, client, wait):
    def timed(tasks, run, rate=True):
        began = time.perf_counter()
        run()
        seconds = time.perf_counter() - began
        return {"value": tasks / seconds if rate else seconds / tasks * 1e6, "seconds": seconds}

    def bag(scale):
        n = int(50_000 * scale)
        return timed(n, lambda: client.gather(client.map(work.noop, range(n), pure=False)))

    def get(graph, key, tasks, rate=True):
        return timed(tasks, lambda: client.get(graph, key), rate)

    def merge(scale):
        n, tag = int(25_000 * scale), uuid.uuid4().hex[:8]
        graph = {f"m-{tag}-{i}": (work.inc, i) for i in range(n)}
        graph[f"sum-{tag}"] = (sum, list(graph))
        return get(graph, f"sum-{tag}", n + 1)

    def tree(scale):
        leaves, tag = 2 ** 14 if scale == 1 else 2 ** 11, uuid.uuid4().hex[:8]
        graph = {f"leaf-{tag}-{i}": (work.inc, i) for i in range(leaves)}
        level, depth = list(graph), 0
        while len(level) > 1:
            above = []
            for i in range(0, len(level), 2):
                key = f"t{depth}-{tag}-{i // 2}"
                graph[key] = (add, level[i], level[i + 1])
                above.append(key)
            level, depth = above, depth + 1
        return get(graph, level[0], 2 * leaves - 1)

    def stencil(scale, width=32):
        steps, tag = int(200 * scale), uuid.uuid4().hex[:8]
        graph = {f"s-{tag}-0-{i}": (work.inc, i) for i in range(width)}
        for t in range(1, steps):
            for i in range(width):
                graph[f"s-{tag}-{t}-{i}"] = (work.last, [f"s-{tag}-{t-1}-{j}" for j in range(max(0, i - 1), min(width, i + 2))])
        return get(graph, [f"s-{tag}-{steps-1}-{i}" for i in range(width)], width * steps)

    def chain(scale):
        n, tag = int(2_000 * scale), uuid.uuid4().hex[:8]
        graph = {f"c-{tag}-0": (work.inc, 0)}
        for i in range(1, n):
            graph[f"c-{tag}-{i}"] = (work.inc, f"c-{tag}-{i-1}")
        return get(graph, f"c-{tag}-{n-1}", n, rate=False)

    def submit(scale, count, idle):
        times = []
        for i in range(max(10, int(count * scale))):
            if idle:
                time.sleep(idle)
            began = time.perf_counter()
            client.submit(work.noop, i, pure=False).result()
            times.append(time.perf_counter() - began)
        times.sort()
        return {"value": times[len(times) // 2] * 1e6, "p99_us": times[len(times) * 99 // 100] * 1e6}

    def register(scale):
        # A tenth of our size: its rate does not depend on it, and a million tasks take 5 GB of its scheduler.
        n = int(100_000 * scale)
        before = cluster.resident()
        began = time.perf_counter()
        futures = client.map(work.noop, range(n), pure=False, resources={"NONE": 1})
        while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) < n:
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        answer = {"value": n / seconds, "scheduler_bytes_per_task": (cluster.resident() - before) / n}
        del futures
        while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) > 0:
            time.sleep(0.05)
        return answer

    def places():
        return sorted(client.scheduler_info()["workers"], key=lambda a: client.scheduler_info()["workers"][a]["name"])

    def rate_of(n, prepare, run):
        held = prepare()
        began = time.perf_counter()
        result = run(held)
        seconds = time.perf_counter() - began
        del held, result
        return {"value": n / seconds / 1e6, "seconds": seconds}

    def remote(n):
        future = client.submit(work.make_array, n, int(time.time()), workers=[places()[0]], pure=False)
        wait(future)
        return future

    def between(scale, n):
        there = places()[1]
        return rate_of(n, lambda: remote(n), lambda f: client.submit(work.touch, f, workers=[there], pure=False).result())

    def gather(scale, n):
        return rate_of(n, lambda: remote(n), lambda f: client.gather(f, direct=True))

    def scatter(scale, n):
        there = places()[0]
        return rate_of(n, lambda: work.make_array(n, int(time.time())),
                       lambda a: client.scatter(a, workers=[there], direct=True, hash=False))

    def small(scale):
        here, there = places()[:2]
        held = client.map(work.ten_kilobytes, range(1000), workers=[here], pure=False)
        wait(held)
        began = time.perf_counter()
        client.submit(len, held, workers=[there], pure=False).result()
        return {"value": (time.perf_counter() - began) * 1e3}

    def metg(scale, width, steps=50):
        """The smallest duration, of those tried, at which half of the ideal rate is reached."""
        workers = len(places())
        for micro in (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000):
            tag, depth = uuid.uuid4().hex[:8], steps if micro < 2000 else steps // 2
            graph = {f"s-{tag}-0-{i}": (work.busy, micro * 1e-6) for i in range(width)}
            for t in range(1, depth):
                for i in range(width):
                    graph[f"s-{tag}-{t}-{i}"] = (work.busy, micro * 1e-6, *[f"s-{tag}-{t-1}-{j}" for j in range(max(0, i - 1), min(width, i + 2))])
            began = time.perf_counter()
            client.get(graph, [f"s-{tag}-{depth-1}-{i}" for i in range(width)])
            seconds = time.perf_counter() - began
            if scale < 1 or width * depth * micro * 1e-6 / workers >= 0.5 * seconds:
                return {"value": micro}
        return {"value": float("inf")}

    def payload(scale):
        n = int(1_000 * scale)
        data = [bytes([i % 256]) * 100_000 for i in range(n)]
        began = time.perf_counter()
        client.gather([client.submit(work.noop, d, pure=False) for d in data])
        return {"value": n * 200_000 / (time.perf_counter() - began) / 1e6}

    return {
        "B1": bag, "B2": merge, "B3": tree, "B4": stencil, "B5": chain,
        "B6": lambda s: submit(s, 1000, 0), "B6i": lambda s: submit(s, 100, 0.025), "B7": register,
        "B8w": lambda s: between(s, 100_000_000), "B8W": lambda s: between(s, 500_000_000),
        "B8g": lambda s: gather(s, 100_000_000), "B8s": lambda s: scatter(s, 100_000_000),
        "B9": small, "B10": lambda s: metg(s, len(places())), "B10w": lambda s: metg(s, 16 * len(places())), "B13": payload,
        **dask_shapes.shapes(cluster, client, wait),
    }
