"""Dask in the suite: one real scheduler process and W real one-thread worker processes on loopback TCP, as Weft has them.

usage: dask_peer.py QUESTIONS W [SLOTS_OF_FIRST [MEMORY]]; reads lines "WORKLOAD SIZE" from that pipe and answers each with one line
of JSON: {"value": ..., "cpu": {...}}. The size is "full", or "warm" for a tenth.
"""
import ctypes, gc, json, os, signal, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dask_work as work


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def resident_bytes(pid):
    return int(open(f"/proc/{pid}/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Cluster:
    def __init__(self, workers, first_slots, memory):
        self.folder = tempfile.TemporaryDirectory(prefix="weft-bench-dask-")
        self.processes = []
        file = os.path.join(self.folder.name, "scheduler.json")
        self.scheduler = self.start("scheduler", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
                                    "--no-dashboard", "--scheduler-file", file)
        deadline = time.time() + 60
        while not os.path.exists(file) or os.path.getsize(file) == 0:
            time.sleep(0.05)
            if time.time() > deadline or self.scheduler.poll() is not None:
                raise RuntimeError(open(os.path.join(self.folder.name, "scheduler.log")).read())
        time.sleep(0.2)
        self.address = json.load(open(file))["address"]
        self.workers = [self.start(f"w{i}", "distributed.cli.dask_worker", self.address, "--nthreads",
                                   str(first_slots if i == 0 else 1), "--no-nanny", "--no-dashboard", "--memory-limit", memory, "--host", "127.0.0.1", "--local-directory",
                                   self.folder.name, "--name", f"w{i}") for i in range(workers)]

    def start(self, name, module, *arguments):
        environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1",
                           PYTHONPATH=os.path.dirname(os.path.abspath(__file__)))
        log = open(os.path.join(self.folder.name, name + ".log"), "w")
        process = subprocess.Popen([sys.executable, "-m", module, *arguments], env=environment, cwd=self.folder.name,
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        self.processes.append(process)
        return process

    def cpu(self):
        def of(pid):
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return {"client": of(os.getpid()), "scheduler": of(self.scheduler.pid), "workers": sum(of(w.pid) for w in self.workers)}

    def resident(self):
        return resident_bytes(self.scheduler.pid)

    def workers_resident(self):
        return sum(resident_bytes(worker.pid) for worker in self.workers)

    def close(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def main():
    from distributed import Client, wait
    questions, workers, first_slots, memory = (sys.argv[1:] + ["1", "8GB"])[:4] if len(sys.argv) == 3 else sys.argv[1:5]
    cluster = Cluster(int(workers), int(first_slots), memory)
    try:
        client = Client(cluster.address, timeout="60s")
        client.wait_for_workers(int(workers))
        import dask_workloads
        suite = dask_workloads.suite(cluster, client, wait)
        client.gather(client.map(work.noop, range(1000), pure=False))
        print(json.dumps({"ready": True, "version": __import__("distributed").__version__}), flush=True)
        for line in open(questions):
            name, size = line.split()
            gc.collect()
            answer = {}
            try:
                before = cluster.cpu()
                answer = suite[name](0.1 if size == "warm" else 1)
                after = cluster.cpu()
                answer["cpu"] = {k: after[k] - before[k] for k in before}
            except Exception as error:
                answer["error"] = repr(error)[:300]
            print(json.dumps(answer), flush=True)
        client.close()
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
