// Every page in both themes at three widths: nothing complains, axe-core finds nothing, nothing is wider than the screen. Takes the
// screenshots.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openBrowser, openPage, PAGES, show } from "./browser.mjs";
import { startCluster } from "./cluster.mjs";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const SIZES = [[320, 700], [1280, 860], [2560, 1440]];
// Rules are about elements and colours: wider screens have the same ones, and each look is a second of work.
const LOOKED_AT = (width, theme) => width === 1280 || (width === 320 && theme === "dark");
const shots = process.env.WEFT_SCREENSHOTS;
let cluster, browser, addresses;

before(async () => {
  cluster = await startCluster();
  browser = await openBrowser();
  const { groups } = await cluster.get("groups");
  const id = Object.keys(groups).find((group) => groups[group].label === "clean");
  const failed = Object.keys((await cluster.get("tasks?label=refuse&limit=1")).tasks)[0];
  const long = Object.keys(groups).find((group) => groups[group].label.startsWith("xxx"));
  const longTask = Object.keys((await cluster.get("tasks?label=xxx&limit=1")).tasks)[0];
  addresses = { ...Object.fromEntries(PAGES.map((page) => [page, page])), group: `groups/${id}`, raster: `graph/${id}`, task: `tasks/${failed}`, worker: "workers/worker-1", "long-group": `groups/${long}`, "long-task": `tasks/${longTask}` };
});
after(async () => { await browser?.close(); await cluster?.stop(); });

for (const theme of ["dark", "light"]) {
  for (const [width, height] of SIZES) {
    test(`every page is sound, ${theme}, ${width} px wide`, async () => {
      const page = await openPage(browser, cluster.url, { width, height, theme });
      const found = {};
      for (const [name, address] of Object.entries(addresses)) {
        await show(page, address);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${name} is ${wide} px wider than the screen`);
        if (shots) await drawn(page);
        if (shots) await page.screenshot({ path: join(shots, `${name}-${width}-${theme}.png`), fullPage: width === 320 });
        const wrong = LOOKED_AT(width, theme) ? await violations(page) : [];
        if (wrong.length) found[name] = wrong;
      }
      assert.deepEqual(found, {});
      assert.deepEqual(page.problems, []);
      await page.close();
    });
  }
}

/** What is drawn when data came is on the screen. */
const drawn = (page) => page.evaluate(() => new Promise((resolve) => { setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(resolve)), 200); }));

async function violations(page) {
  if (!await page.evaluate(() => "axe" in window)) await page.evaluate(readFileSync(axe, "utf8"));
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, any }) => `${html.slice(0, 160)} ${any[0]?.message ?? ""}`).join(" | ")}`);
  });
}
