// When something breaks, the page says so, and comes back by itself.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openBrowser, openPage, show, until } from "./browser.mjs";
import { startCluster, startScheduler } from "./cluster.mjs";

let browser;
before(async () => { browser = await openBrowser(); });
after(async () => { await browser?.close(); });

test("a killed worker raises an alert that leads to it", async () => {
  const cluster = await startCluster();
  try {
    const page = await openPage(browser, cluster.url);
    await cluster.workers[1].stop("SIGKILL");
    const alert = page.locator("[data-alert^=worker-lost]", { hasText: "worker-1" });
    await alert.waitFor();
    await alert.getByRole("link").click();
    await page.locator("main h1", { hasText: "worker-1" }).waitFor();
    await show(page, "events");
    await page.locator("tbody tr", { hasText: "worker lost" }).first().waitFor();
    await page.close();
  } finally { await cluster.stop(); }
});

test("a viewer throttled to nothing is cut, and comes back when it can", async () => {
  const cluster = await startCluster();
  const { cut } = (await cluster.get("system")).viewers;
  try {
    const page = await openPage(browser, cluster.url);
    await show(page, "timeline");
    const client = await page.context().newCDPSession(page);
    await client.send("Network.enable");
    const throttle = (bytes) => client.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: bytes, uploadThroughput: bytes });
    await throttle(1);
    await until(async () => (await cluster.get("system")).viewers.cut > cut, "it was cut", 90_000);   // nothing taken for 30 s
    await throttle(-1);
    await page.reload();
    await show(page, "overview");
    await page.locator("[data-id=finished]").waitFor();
    await page.close();
  } finally { await cluster.stop(); }
});

test("a restarted scheduler is found again", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-browser-"));
  let scheduler = await startScheduler(folder);
  try {
    const { url } = scheduler;
    const page = await openPage(browser, url);
    const epoch = () => page.locator(".facts dd").nth(2).textContent();
    await show(page, "system");
    const before = await epoch();
    await scheduler.stop("SIGKILL");
    await page.locator(".banner").waitFor();
    scheduler = await startScheduler(folder, ["--dashboard-port", new URL(url).port]);
    await until(async () => await page.locator(".banner").count() === 0, "the page has found it");
    await until(async () => await epoch() !== before, "the page shows the new scheduler");
    await show(page, "overview");
    assert.equal(await page.locator("[data-id=workers]").textContent(), "0");
    await page.getByText("No worker has joined yet").waitFor();
    await page.close();
  } finally {
    await scheduler.stop("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
});
