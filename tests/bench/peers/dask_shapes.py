"""The shapes of workloads_shapes.cpp for Dask: the same tasks, times and sizes."""
import threading, time, uuid

import dask_work as work

MB = 1_000_000


class Graph:
    def __init__(self):
        self.tag, self.tasks = uuid.uuid4().hex[:8], {}

    def task(self, size, milliseconds, inputs=(), function=work.make_bytes):
        key = f"task-{self.tag}-{len(self.tasks)}"
        self.tasks[key] = (function, size, len(self.tasks), milliseconds / 1e3, *inputs)
        return key


def root_heavy(g):
    ends = [g.task(8, 20, [g.task(50 * MB, 20)]) for _ in range(40)]
    return [g.task(8, 1, ends)]


def tree_reduction(g):
    level = [g.task(10 * MB, 20) for _ in range(64)]
    while len(level) > 1:
        level = [g.task(10 * MB, 20, level[i:i + 2]) for i in range(0, len(level), 2)]
    return level


def shuffle(g):
    columns = [[] for _ in range(16)]
    for _ in range(16):
        whole = g.task(16 * MB, 40)
        for column in columns:
            column.append(g.task(MB, 0, [whole]))
    return [g.task(8, 40, column) for column in columns]


def diamond(g):
    source = g.task(10 * MB, 20)
    return [g.task(8, 20, [g.task(MB, 40, [source]) for _ in range(32)])]


def fan_out(g):
    source = g.task(200 * MB, 20)
    return [g.task(8, 40, [source]) for _ in range(64)]


def unequal_workers(g):
    return [g.task(8, 40) for _ in range(140)]


def slow_worker(g):
    return [g.task(8, 40, function=work.make_bytes_unevenly) for _ in range(96)]


def unequal_times(g):
    return [g.task(8, 200 if i % 20 == 19 else 10) for i in range(200)]


class MemoryPeak:
    def __init__(self, cluster):
        self.cluster, self.first = cluster, cluster.workers_resident()
        self.peak, self.stop = self.first, threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()

    def look(self):
        while not self.stop.wait(0.005):
            self.peak = max(self.peak, self.cluster.workers_resident())

    def end(self):
        self.stop.set()
        self.thread.join()
        return self.peak - self.first


def moved(client):
    """Bytes that came to workers from other workers so far."""
    def of(dask_worker):
        log = getattr(dask_worker, "transfer_incoming_log", None)
        if log is None:
            log = dask_worker.incoming_transfer_log
        return sum(entry["total"] for entry in log)
    return sum(client.run(of).values())


def shapes(cluster, client, wait):
    def run(build):
        def measure(scale):
            graph = Graph()
            ends = build(graph)
            before, peak = moved(client), MemoryPeak(cluster)
            began = time.perf_counter()
            futures = client.get(graph.tasks, ends, sync=False)
            wait(futures)
            seconds = time.perf_counter() - began
            held = peak.end()
            failed = [f for f in futures if f.status != "finished"]
            answer = {"value": seconds * 1e3, "moved_MB": (moved(client) - before) / MB, "peak_MB": held / MB}
            if failed:
                answer["error"] = str(failed[0].exception())
            del futures
            return answer
        return measure
    return {name: run(build) for name, build in (
        ("P1", root_heavy), ("P2", tree_reduction), ("P3", shuffle), ("P4", diamond), ("P5", fan_out), ("P6", unequal_workers),
        ("P7", slow_worker), ("P8", unequal_times))}
