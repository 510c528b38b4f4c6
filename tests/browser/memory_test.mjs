// Memory by group is what the workers hold, while values go to disk and are copied.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openBrowser, openPage, show, until } from "./browser.mjs";
import { startCluster } from "./cluster.mjs";

let cluster, browser;
before(async () => {
  cluster = await startCluster({ names: ["worker-0", "worker-1"], memory: "12MiB" });
  browser = await openBrowser();
});
after(async () => { await browser?.close(); await cluster?.stop(); });

const sum = (rows, field) => Object.values(rows).reduce((all, row) => all + row[field], 0);

test("the sum over groups is what the workers hold, in memory and on disk, and the page shows both", async () => {
  await until(async () => {
    const [{ rows: workers }, { rows: groups, rest }] = await Promise.all([cluster.get("memory"), cluster.get("memory?by=group")]);
    const [disk, memory] = [sum(workers, "spilled_bytes"), sum(workers, "managed_bytes")];
    return disk > 1e6 && sum(groups, "spilled_bytes") === disk && sum(groups, "managed_bytes") + rest.managed_bytes === memory
      && sum(groups, "managed_bytes") > 0.95 * memory;
  }, "groups hold what workers hold, of which some is on disk");
  const { rows } = await cluster.get("memory?by=group");
  const load = Object.values(rows).find(({ name }) => name === "load");
  assert.equal(load.count, 64);
  assert.ok(load.managed_bytes + load.spilled_bytes - load.copies_bytes >= 64 * 160_000, "every value of it is somewhere");
  const page = await openPage(browser, cluster.url);
  await show(page, "memory");
  await page.getByRole("button", { name: "By group" }).press("Enter");
  const table = page.getByRole("group", { name: "Memory group" });
  await table.locator("tbody tr", { hasText: "load" }).waitFor();
  assert.deepEqual((await table.locator("th").allTextContents()).map((title) => title.replace(/[↑↓]/, "")), ["Group", "Share", "In memory", "On disk", "Copies", "Values"]);
  assert.match(await page.locator("main").textContent(), /of values in memory, [\d.]+ MiB on disk; .* of both are copies/);
  assert.deepEqual(page.problems, []);
  await page.close();
});
