// A saved report shows the same pages from one file, without a server.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openBrowser, openPage, PAGES, show, until } from "./browser.mjs";
import { startCluster } from "./cluster.mjs";

let cluster, browser, file;
const folder = mkdtempSync(join(tmpdir(), "weft-report-"));
before(async () => {
  file = join(folder, "report.html");
  cluster = await startCluster();
  browser = await openBrowser();
  await until(async () => (await cluster.get("overview")).t1 > 5e6, "there are moments of some seconds");
  const assets = process.env.WEFT_ASSETS ? ["--assets", process.env.WEFT_ASSETS] : [];
  execFileSync(join(process.env.WEFT_BUILD, "weft"), ["report", "--dashboard", `${cluster.url}/`, ...assets, file]);
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("the pages of a report follow the time cursor", async () => {
  const [, text] = readFileSync(file, "utf8").match(/<script type="application\/json" id="weft-report">(.*?)<\/script>/s);
  const { "/api/v1/overview": last, moments } = JSON.parse(text);
  const page = await openPage(browser, `file://${file}`);
  const number = async (id) => Number((await page.locator(`[data-id=${id}]`).textContent()).replace(/[^\d.]/g, ""));
  const shows = async ({ totals, tasks, workers }, when) => {
    await until(async () => await number("finished") === totals.finished, `the overview shows ${totals.finished} finished runs ${when}`);
    assert.deepEqual([await number("failed"), await number("open"), await number("workers")],
      [tasks.failed, tasks.waiting + tasks.ready + tasks.assigned, workers.total], when);
  };
  await shows(last, "at its end");
  const times = moments["/api/v1/overview"].t;
  for (const t of [times.at(-2), times[times.length >> 1], times[1]]) {
    const then = await cluster.get(`overview?t1=${t}`);
    assert.ok(then.totals.finished < last.totals.finished);
    await page.goto("about:blank");
    await page.goto(`file://${file}#/overview?at=${t + 1}`);
    await shows(then, `at ${t}`);
    const charts = async () => page.locator("main figure [role=img]").evaluateAll((all) => all.map(({ ariaLabel }) => ariaLabel).join());
    const before = await charts();
    await page.keyboard.press("Escape");
    await shows(last, "when it follows again");
    await until(async () => await charts() !== before, "the charts follow, too");
  }
  assert.deepEqual(page.problems, []);
  await page.close();
});

test("every page of a report shows what it holds, without a server", async () => {
  await cluster.stop();
  const page = await openPage(browser, `file://${file}`);
  for (const address of PAGES) {
    await show(page, address);
    assert.deepEqual(await page.locator("main [role=alert]").allTextContents(), [], address);
  }
  await show(page, "groups");
  await page.locator("tbody tr", { hasText: "sum-partial" }).first().waitFor();
  assert.equal(await page.locator(".banner").count(), 0);
});
