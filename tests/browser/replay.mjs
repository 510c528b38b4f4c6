// The budgets of the page, before a real scheduler that replays a recorded job (tests/bench/replay_bench): 100,000 transitions a
// second at 50 frames a second with flat memory for a minute, a graph of a million tasks that opens in under 2 s, and a history of
// ten million tasks that is scrubbed without stutter.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { browserThreads, openBrowser, openPage, show, until } from "./browser.mjs";
import { start, startCluster } from "./cluster.mjs";

const SECONDS = 60, WINDOW_S = 5;
const FPS_MIN = 50;
// Where other programs take the cores, frames are late whatever they cost. What the page can be blamed for is CPU time: 50 frames
// a second are there when the busiest thread of the browser has a frame done in 20 ms.
const THREAD_S_MAX = 1 / FPS_MIN;
const TRANSITIONS_MIN = 100_000;
const TASKS_PER_S = 30_000;    // about four transitions each
const HEAP_GROWTH_MAX = 20e6;
const RECORDED_TASKS = 10_000_000, RECORDED_PER_S = 60_000;
const SCRUB_MS = 10_000, STUTTER_MS = 50 /* three frames */, MOMENTS_PER_S = 10, PRESSES_PER_S = 30;
let browser;
const folder = mkdtempSync(join(tmpdir(), "weft-replay-"));

before(async () => {
  const cluster = await startCluster({ args: ["--dashboard-history", folder] });
  await until(async () => (await cluster.get("overview")).totals.finished > 400, "400 tasks have run");
  await cluster.stop("SIGTERM");
  browser = await openBrowser();
});
after(async () => { await browser?.close(); rmSync(folder, { recursive: true, force: true }); });

async function replay(...args) {
  const program = start(join(process.env.WEFT_BUILD, "replay_bench"), [folder, ...args.map(String)]);
  const [, url] = await program.says(/dashboard: (http:\S+)\//);
  return { ...program, url, get: async (path) => (await fetch(`${url}/api/v1/${path}`)).json() };
}

test("100,000 transitions a second keep 50 frames a second and the same memory", async () => {
  const cluster = await replay(TASKS_PER_S);
  try {
    const page = await openPage(browser, cluster.url);
    await show(page, "timeline");
    await page.locator("figure canvas").waitFor();
    const client = await page.context().newCDPSession(page);
    const heap = async () => {
      await client.send("HeapProfiler.collectGarbage");
      return page.evaluate(() => performance.memory.usedJSHeapSize);
    };
    const rates = [], costs = [], transitions = [], heaps = [];
    for (let i = 0; i < SECONDS / WINDOW_S; ++i) {
      const before = browserThreads();
      const { frames, seconds } = await page.evaluate((ms) => new Promise((resolve) => {
        let frames = 0;
        const began = performance.now();
        requestAnimationFrame(function frame(now) {
          if (now - began < ms) { ++frames; requestAnimationFrame(frame); } else resolve({ frames, seconds: (now - began) / 1000 });
        });
      }), WINDOW_S * 1000);
      rates.push(frames / seconds);
      costs.push(Math.max(...[...browserThreads()].map(([thread, used]) => used - (before.get(thread) ?? 0))) / frames);
      const { rates: { transitions_per_s: now } } = await cluster.get("overview");
      transitions.push(now);
      heaps.push(await heap());
    }
    const text = (numbers, unit, digits) => numbers.map((number) => (number * unit).toFixed(digits)).join(" ");
    console.log(`frames a second ${text(rates, 1, 0)}; ms of the busiest thread a frame ${text(costs, 1e3, 1)}; thousands of transitions a second ${text(transitions, 1e-3, 0)}; heap, MB ${text(heaps, 1e-6, 1)}`);
    assert.ok(Math.max(...transitions) >= TRANSITIONS_MIN, `${transitions}`);
    const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
    assert.ok(median(rates) >= FPS_MIN || median(costs) <= THREAD_S_MAX, `${rates}; ${costs}`);
    assert.ok(heaps.at(-1) - heaps[1] < HEAP_GROWTH_MAX, `${heaps}`);
    assert.deepEqual(page.problems, []);
    await page.close();
  } finally { await cluster.stop("SIGKILL"); }
});

test("a graph of a million tasks opens in under 2 s", async () => {
  const cluster = await replay(TASKS_PER_S, 1_000_000);
  try {
    await until(async () => Object.values((await cluster.get("groups")).groups).reduce((sum, { total }) => sum + total, 0) >= 990_000, "a million tasks are there");
    const { nodes } = await cluster.get("graph");
    const [id, { total }] = Object.entries(nodes).sort(([, a], [, b]) => b.total - a.total)[0];
    const page = await openPage(browser, cluster.url);
    const opened = (address, selector) => page.evaluate(([hash, wanted]) => new Promise((resolve, reject) => {
      const began = performance.now();
      location.hash = `#/${hash}`;
      requestAnimationFrame(function look() {
        if (document.querySelector(wanted)) resolve(performance.now() - began);
        else if (performance.now() - began > 20_000) reject(new Error(`no ${wanted}`));
        else requestAnimationFrame(look);
      });
    }), [address, selector]);
    const graph = await opened("graph", "main .layers svg"), raster = await opened(`graph/${id}`, "canvas[data-tasks]");
    const drawn = Number(await page.locator("canvas[data-tasks]").getAttribute("data-tasks"));
    console.log(`a graph of a million tasks: ${graph.toFixed(0)} ms; the ${drawn} tasks of its largest group: ${raster.toFixed(0)} ms`);
    assert.ok(drawn >= total, `${drawn} of ${total}`);
    assert.ok(graph < 2000 && raster < 2000, `${graph} ms, ${raster} ms`);
  } finally { await cluster.stop("SIGKILL"); }
});

test("a history of ten million tasks is scrubbed without stutter", async () => {
  const recorded = join(folder, "recorded");
  mkdirSync(recorded);
  const recorder = start(join(process.env.WEFT_BUILD, "replay_bench"), [folder, RECORDED_PER_S, 10_000, recorded, RECORDED_TASKS].map(String));
  assert.equal((await recorder.ended).code, 0);
  const began = performance.now();
  const history = start(join(process.env.WEFT_BUILD, "weft"), ["history", recorded, "--port", "0"]);
  try {
    const [, url] = await history.says(/(http:\S+)\//);
    const opened = (performance.now() - began) / 1000;
    const { totals } = await (await fetch(`${url}/api/v1/overview`)).json();
    assert.ok(totals.finished >= 0.95 * RECORDED_TASKS, `${totals.finished} tasks are in the history, ${totals.dropped} records were dropped`);
    const page = await openPage(browser, url);
    const answers = [];
    let shown = new Set();   // moments of what the page is about
    page.on("requestfinished", (request) => {
      const { pathname, searchParams } = new URL(request.url());
      if (pathname.startsWith("/api/")) answers.push(request.timing().responseEnd);
      if (pathname === `/api/v1/${about}`) shown.add(searchParams.get("t1"));
    });
    let about = "";
    for (const [name, resource] of [["timeline", "stream"], ["overview", "overview"], ["workers", "workers"]]) {
      await show(page, name);
      await page.locator("main").focus();
      about = resource, shown = new Set();
      const frames = page.evaluate((ms) => new Promise((resolve) => {
        const gaps = [];
        let last = performance.now(), end = last + ms;
        requestAnimationFrame(function frame(now) {
          gaps.push(now - last);
          last = now;
          if (now < end) requestAnimationFrame(frame); else resolve(gaps);
        });
      }), SCRUB_MS);
      const end = Date.now() + SCRUB_MS;
      for (let i = 0; Date.now() < end; ++i) {   // as a held key does
        const next = Date.now() + 1000 / PRESSES_PER_S;
        await page.keyboard.press(i % 40 < 20 ? "ArrowLeft" : "ArrowRight");
        await new Promise((resolve) => { setTimeout(resolve, Math.max(0, next - Date.now())); });
      }
      const moments = shown.size;
      const gaps = (await frames).slice(1).sort((a, b) => a - b);
      const at = (q) => gaps[Math.floor(q * (gaps.length - 1))];
      console.log(`${name}: ms between frames while scrubbing: median ${at(0.5).toFixed(0)}, p99 ${at(0.99).toFixed(0)}, longest ${at(1).toFixed(0)}; ${moments} moments`);
      assert.ok(moments >= MOMENTS_PER_S * SCRUB_MS / 1000, `${name}: ${moments} moments`);
      assert.ok(at(0.5) <= 1000 / FPS_MIN && at(0.99) <= STUTTER_MS, name);
    }
    answers.sort((a, b) => a - b);
    console.log(`opened in ${opened.toFixed(1)} s; ${answers.length} answers, median ${answers[answers.length >> 1].toFixed(0)} ms, slowest ${answers.at(-1).toFixed(0)} ms`);
    assert.deepEqual(page.problems, []);
    await page.close();
  } finally { await history.stop("SIGKILL"); }
});
