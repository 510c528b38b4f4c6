// A real scheduler with its dashboard, real workers and a real job, each a process that ends with the test.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const build = process.env.WEFT_BUILD;
// The page is the one built into the scheduler, unless a folder is given.
const assets = process.env.WEFT_ASSETS ? ["--dashboard-assets", process.env.WEFT_ASSETS] : [];

/** Starts a program; `says(pattern)` waits for a line of its output. */
export function start(program, args, options = {}) {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], ...options });
  const lines = [];
  const waiters = [];
  const take = (line) => {
    lines.push(line);
    for (const waiter of [...waiters]) waiter();
  };
  createInterface({ input: child.stdout }).on("line", take);
  createInterface({ input: child.stderr }).on("line", take);
  const ended = new Promise((resolve) => child.on("exit", (code, signal) => { resolve({ code, signal }); for (const waiter of [...waiters]) waiter(); }));
  return {
    child, ended,
    says: (pattern) => new Promise((resolve, reject) => {
      const look = () => {
        const found = lines.map((line) => line.match(pattern)).find(Boolean);
        if (found) resolve(found);
        else if (child.exitCode !== null) reject(new Error(`${program} ended with ${child.exitCode} before it said ${pattern}:\n${lines.join("\n")}`));
        else return;
        waiters.splice(waiters.indexOf(look), 1);
      };
      waiters.push(look);
      look();
    }),
    stop: async (signal = "SIGTERM") => { child.kill(signal); return ended; },
  };
}

export async function startScheduler(folder, args = []) {
  const scheduler = start(join(build, "weft-scheduler"), [
    "--port", "0", "--worker-port", "0", "--dashboard-port", "0", "--scheduler-file", join(folder, "scheduler.json"), "--keys", join(folder, "keys"),
    ...assets, ...args,
  ]);
  const [, url] = await scheduler.says(/dashboard: (http:\S+)/);
  return { ...scheduler, url: url.replace(/\/$/, "") };
}

/** A cluster with a job that has loaded its graph and keeps the workers busy. `names`: of the workers; `labels`: of tasks that the job has besides, each its own; `job`: more arguments of it; `memory`: of each worker. */
export async function startCluster({ names = ["worker-0", "worker-1", "worker-2"], args = [], labels = [], job: jobArgs = [], memory = "512MiB" } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "weft-browser-"));
  const scheduler = await startScheduler(folder, args);
  const file = join(folder, "scheduler.json");
  const hands = names.map((name, i) => start(join(build, "weft-worker"),
    ["--scheduler-file", file, "--name", name, "--nthreads", "2", "--memory-limit", memory, "--local-directory", join(folder, `w${i}`)]));
  if (labels.length) writeFileSync(join(folder, "labels"), `${labels.join("\n")}\n`);
  const job = start(process.env.WEFT_JOB, [...(labels.length ? [join(folder, "labels")] : []), ...jobArgs], { env: { ...process.env, WEFT_SCHEDULER_FILE: file } });
  await job.says(/^loaded$/);
  return {
    url: scheduler.url, workers: hands,
    get: async (path) => (await fetch(`${scheduler.url}/api/v1/${path}`)).json(),
    /** `last`: how the scheduler ends; SIGTERM when its history is to be whole. */
    stop: async (last = "SIGKILL") => {
      job.child.stdin.end();
      await Promise.all([...[job, ...hands].map(({ stop }) => stop("SIGKILL")), scheduler.stop(last)]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
