// What ran when: runs that go on are open bars up to the edge, now and in the past, and the time of each group is exact at any zoom.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openBrowser, openPage, show, until } from "./browser.mjs";
import { startCluster } from "./cluster.mjs";

let cluster, browser, page;
before(async () => {
  cluster = await startCluster();
  browser = await openBrowser();
  page = await openPage(browser, cluster.url);
  await show(page, "timeline");
  await page.locator("figure canvas").waitFor();
});
after(async () => { await browser?.close(); await cluster?.stop(); });

const press = async (key, times = 1) => { await page.locator("main").focus(); for (let i = 0; i < times; ++i) await page.keyboard.press(key); };

const lingers = async () => {
  const { running, t1, lanes } = await cluster.get("timeline?t0=0");
  const { groups } = await cluster.get("groups");
  return { run: running.find(({ group }) => groups[group].label === "linger"), t1, lanes };
};

/** The colours of the picture at the edge of what is shown, of the lane of a task that never ends, and of its label. */
async function edgeOfLinger() {
  const { run, lanes } = await lingers();
  const lane = Object.keys(lanes).sort((a, b) => { const [x, y] = [lanes[a], lanes[b]]; return x.worker - y.worker || x.slot - y.slot; }).indexOf(run.lane);
  return page.evaluate(([lane, lanes]) => {
    const canvas = document.querySelector("figure canvas");
    const axis = 22, height = (canvas.clientHeight - axis) / lanes;
    const [x, y] = [canvas.width - 6, (axis + (lane + 0.5) * height) * devicePixelRatio];
    const [r, g, b] = canvas.getContext("2d").getImageData(x, Math.round(y), 1, 1).data;
    const name = [...document.querySelectorAll("main .named")].find((named) => named.textContent === "linger");
    return { drawn: `rgb(${r}, ${g}, ${b})`, label: name ? getComputedStyle(name.querySelector(".swatch")).backgroundColor : "not named" };
  }, [lane, Object.keys(lanes).length]);
}
const isOpenBar = async () => { const { drawn, label } = await edgeOfLinger(); return drawn === label; };

test("a task that runs is an open bar up to now, and up to the cursor", async () => {
  await until(isOpenBar, "the lane of the task that never ends has its label's colour at the edge");
  await until(async () => { const { run, t1 } = await lingers(); return t1 - run.start > 7e6; }, "it has run for longer than the step back");
  await press(" ");
  await press("ArrowLeft");
  await until(isOpenBar, "it has in the past, too");
  await page.getByRole("button", { name: "Show as table" }).click();
  await page.getByRole("button", { name: "Began" }).click();  // the first ones first
  const row = page.getByRole("group", { name: "Tasks in this time" }).locator("tbody tr", { hasText: "linger" });
  assert.match(await row.textContent(), /runs for \d/);
  await page.getByRole("button", { name: "Show as table" }).click();
  await press("Escape");
});

/** Of each run the API tells of, its part in the window, by label: seconds. */
async function byPlainLoop(t0, t1) {
  const [{ rects, running, cut }, { groups }] = await Promise.all([cluster.get(`timeline?t0=0&t1=${t1}`), cluster.get("groups")]);
  assert.equal(cut, false);
  const sum = {};
  for (const { group, start, end = t1 } of [...rects, ...running]) {
    const part = (Math.min(end, t1) - Math.max(start, t0)) / 1e6;
    if (part > 0) sum[groups[group].label] = (sum[groups[group].label] ?? 0) + part;
  }
  return sum;
}

test("where the time went is exact at any zoom", async () => {
  await press(" ");
  await press("ArrowLeft");  // what ran then has been reported
  for (const zoom of ["-", "+", "+", "+", "+", "+", "+"]) {
    const asked = page.waitForResponse(/timeline\/time\?.*t1=/);
    await press(zoom);
    const { t0, t1, groups, within_s: within, slot_s: all, busy_s: busy, idle_s: idle } = await (await asked).json();
    assert.equal(within, 0);
    assert.ok(Math.abs(all - busy - idle) < 1e-6 && all > 0, `${all} ${busy} ${idle}`);
    const right = await byPlainLoop(t0, t1);
    assert.deepEqual(new Set(Object.values(groups).map(({ label }) => label)), new Set(Object.keys(right)));
    for (const { label, run_s: seconds } of Object.values(groups)) assert.ok(Math.abs(seconds - right[label]) < 1e-5, `${label}: ${seconds} ${right[label]}`);
    const panel = page.locator(".panel", { has: page.getByRole("heading", { name: "Where the time went" }) });
    await until(async () => await panel.locator("tbody tr").count() === Object.keys(right).length + 1, "each group and the idle time have a row");
    assert.match(await panel.locator("header").textContent(), /exact/);
  }
  await press("Escape");
});

test("a step of the cursor asks for what may differ then, and for nothing else", async () => {
  const asked = new Set();
  page.on("request", (request) => { const { pathname, searchParams } = new URL(request.url()); if (searchParams.has("t1")) asked.add(pathname.replace("/api/v1/", "")); });
  await press(" ");
  await press("ArrowLeft");
  await until(() => asked.size >= 4, "four bodies were asked for");
  await press("ArrowLeft");
  await page.waitForResponse(/stream\?.*t1=/);
  assert.deepEqual([...asked].sort(), ["overview", "stream", "timeline/time", "workers"]);
  await press("Escape");
});
