// A saved report shows the same pages from one file, without a server.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openBrowser, openPage, PAGES, show } from "./browser.mjs";
import { startCluster } from "./cluster.mjs";

test("every page of a report shows what it holds", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-report-"));
  const file = join(folder, "report.html");
  const cluster = await startCluster();
  const browser = await openBrowser();
  try {
    const assets = process.env.WEFT_ASSETS ? ["--assets", process.env.WEFT_ASSETS] : [];
    execFileSync(join(process.env.WEFT_BUILD, "weft"), ["report", "--dashboard", `${cluster.url}/`, ...assets, file]);
    await cluster.stop();
    const page = await openPage(browser, `file://${file}`);
    for (const address of PAGES) {
      await show(page, address);
      assert.deepEqual(await page.locator("main [role=alert]").allTextContents(), [], address);
    }
    await show(page, "groups");
    await page.locator("tbody tr", { hasText: "sum-partial" }).first().waitFor();
    assert.equal(await page.locator(".banner").count(), 0);
  } finally {
    await browser.close();
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});
