// Thousands of labels: the pages say how many there are, reach every one, stay fast and stay readable.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openBrowser, openPage, show, until } from "./browser.mjs";
import { startCluster } from "./cluster.mjs";

const LABELS = 3000;
const LONG = `a-label-${"that-is-far-longer-than-any-box-".repeat(8)}`;
const OPENED_MS = 2000;
const names = [...Array.from({ length: LABELS }, (_, i) => `label number ${i}`), LONG];
let cluster, browser, page;

before(async () => {
  cluster = await startCluster({ labels: names });
  browser = await openBrowser();
  page = await openPage(browser, cluster.url);
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

const progress = () => page.locator(".panel", { has: page.getByRole("heading", { name: "Progress by label" }) });

test("the progress list says how many labels it leaves out, and reaches every one from the keyboard", async () => {
  await show(page, "overview");
  const { labels } = await cluster.get("overview");
  assert.ok(labels > LABELS);
  const shown = () => progress().locator("[data-progress]").count();
  await until(async () => await shown() === 12, "twelve show at first");
  assert.match(await progress().textContent(), new RegExp(`the 12 with most to do of ${labels.toLocaleString("en")}`));
  assert.match(await progress().textContent(), new RegExp(`${(labels - 12).toLocaleString("en")} other labels`));
  await progress().getByRole("button", { name: /^Show 100 more/ }).focus();
  await page.keyboard.press("Enter");
  await until(async () => await shown() === 112, "a hundred more show");
  await progress().getByRole("searchbox", { name: "Label" }).focus();
  await page.keyboard.type("label number 2718");
  await until(async () => await shown() === 1 && (await progress().locator("[data-progress]").textContent()).includes("label number 2718"), "one of the last is found");
  await progress().getByRole("searchbox", { name: "Label" }).fill("there is none");
  await progress().getByText("No label has that part").waitFor();
});

test("the graph of thousands of groups opens in under 2 s, and has one box for each that it shows", async () => {
  const took = await page.evaluate(() => new Promise((resolve) => {
    const began = performance.now();
    location.hash = "#/graph";
    requestAnimationFrame(function look() {
      if (document.querySelector("main .layers .node")) requestAnimationFrame(() => resolve(performance.now() - began));
      else requestAnimationFrame(look);
    });
  }));
  assert.ok(took < OPENED_MS, `${took} ms`);
  const { nodes, edges } = await cluster.get("graph");
  const joined = new Set(Object.values(edges).flatMap(({ from, to }) => (from === to ? [] : [String(from), String(to)])));
  const boxes = await page.locator(".layers .node").evaluateAll((all) => all.map((box) => ({ id: box.hash.split("/")[2], x: box.offsetLeft, y: box.offsetTop, width: box.offsetWidth, height: box.offsetHeight })));
  assert.ok([...joined].every((id) => boxes.some((box) => box.id === id)), "what hangs together shows first");
  const told = await page.locator("main").textContent();
  assert.match(told, new RegExp(`${(Object.keys(nodes).length - boxes.length).toLocaleString("en")} other groups`));
  for (const a of boxes) for (const b of boxes) {
    assert.ok(a === b || a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y, `boxes ${a.id} and ${b.id} lie over each other`);
  }
});

test("groups without edges stand in rows that fit the page", async () => {
  for (const width of [320, 1280, 2560]) {
    await page.setViewportSize({ width, height: 900 });
    await until(async () => {
      const { edges } = await cluster.get("graph");
      const joined = new Set(Object.values(edges).flatMap(({ from, to }) => (from === to ? [] : [String(from), String(to)])));
      const room = await page.locator(".layers").evaluate(({ clientWidth }) => clientWidth);
      const lone = (await page.locator(".layers .node").evaluateAll((all) => all.map((box) => ({ id: box.hash.split("/")[2], x: box.offsetLeft, y: box.offsetTop, end: box.offsetLeft + box.offsetWidth })))).filter(({ id }) => !joined.has(id));
      const columns = new Set(lone.map(({ x }) => x)).size, rows = new Set(lone.map(({ y }) => y)).size;
      return lone.length > 20 && lone.every(({ end }) => end <= room) && columns * rows < lone.length + columns && (width < 700 || columns > 2);
    }, `they fill the rows at ${width} px`);
  }
});

test("more groups are folded out, and a group's bar lies below its label", async () => {
  await page.setViewportSize({ width: 2560, height: 1440 });
  const before = await page.locator(".layers .node").count();
  await page.getByRole("button", { name: /^Show \d+ more groups/ }).focus();
  await page.keyboard.press("Enter");
  await until(async () => await page.locator(".layers .node").count() > before, "more boxes show");
  for (const width of [320, 1280, 2560]) {
    await page.setViewportSize({ width, height: 1440 });
    const over = await page.locator(".layers .node").evaluateAll((all) => all.filter((box) => {
      const [label, bar, figures] = [...box.children].map((part) => part.getBoundingClientRect()), whole = box.getBoundingClientRect();
      return label.bottom > bar.top + 0.5 || bar.bottom > figures.top + 0.5 || figures.bottom > whole.bottom + 0.5 || label.top < whole.top;
    }).length);
    assert.equal(over, 0, `${width} px: boxes whose parts lie over each other`);
  }
});
