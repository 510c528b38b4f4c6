// Debian's Chromium, and what every test does with a page of it.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { chromium } from "playwright-core";

export const PAGES = ["overview", "timeline", "graph", "groups", "tasks", "workers", "memory", "network", "profile", "events", "logs", "runs", "system"];
export const WAIT_MS = 30_000;

export const openBrowser = () => chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });

/** The page at an address; `problems` gathers what the console complains of. */
export async function openPage(browser, url, { width = 1280, height = 860, theme = "dark" } = {}) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: theme, reducedMotion: "no-preference" });
  page.setDefaultTimeout(WAIT_MS);
  page.problems = [];
  page.on("console", (message) => { if (message.type() === "error") page.problems.push(message.text()); });
  page.on("pageerror", (error) => page.problems.push(error.stack));
  await page.goto(url);
  await page.locator("main h1").waitFor();
  return page;
}

/** Goes to a view and waits until it shows its data. */
export async function show(page, address) {
  await page.evaluate((hash) => { location.hash = `#/${hash}`; }, address);
  const name = address.split("/")[0];
  await page.waitForFunction((id) => document.querySelector(`nav a[aria-current]`)?.hash === `#/${id}`, name);
  await settled(page);
}

/** No part of the page is still asking. */
export const settled = (page) => page.waitForFunction(() => !document.querySelector("main [role=status]"));

/** CPU seconds that each thread of Chromium has used, by "process/thread". */
export function browserThreads() {
  const used = new Map();
  for (const pid of descendants()) {
    for (const thread of list(`/proc/${pid}/task`)) {
      const [nanoseconds] = read(`/proc/${pid}/task/${thread}/schedstat`).split(" ");
      if (nanoseconds) used.set(`${pid}/${thread}`, Number(nanoseconds) / 1e9);
    }
  }
  return used;
}
const read = (file) => { try { return readFileSync(file, "utf8"); } catch { return ""; } };
const list = (folder) => { try { return readdirSync(folder); } catch { return []; } };
function descendants() {
  const found = [process.pid];
  for (const pid of found) for (const thread of list(`/proc/${pid}/task`)) found.push(...read(`/proc/${pid}/task/${thread}/children`).split(" ").filter(Boolean));
  return found.slice(1).filter((pid) => read(`/proc/${pid}/cmdline`).includes("chromium"));
}

/** Waits until `look` gives something true; it is asked again whenever the page has drawn. */
export async function until(look, what, wait = WAIT_MS) {
  const end = Date.now() + wait;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
