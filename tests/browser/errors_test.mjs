// What users write may be long: labels, names of workers and texts of errors keep to their place on the Errors page.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openBrowser, openPage, show, until } from "./browser.mjs";
import { startCluster } from "./cluster.mjs";

const names = Array.from({ length: 12 }, (_, i) => `${i}-label-${"that-is-far-longer-than-any-box-".repeat(20)}`);
const WORKER = `worker-${"with-a-long-name-".repeat(8)}`;
let cluster, browser, page;

before(async () => {
  cluster = await startCluster({ names: ["worker-0", WORKER], labels: names });
  browser = await openBrowser();
  page = await openPage(browser, cluster.url);
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

test("long labels, names and error texts keep to their place on the Errors page, and all of each can be read", async () => {
  for (const [width, height] of [[320, 700], [1280, 860]]) {
    await page.setViewportSize({ width, height });
    await show(page, "events");
    await page.locator(".error-row").first().waitFor();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `nothing is wider than ${width} px`);
    const { heights, outside } = await page.evaluate(() => {
      const hidden = (element) => { for (let e = element.parentElement; e && !e.matches(".error-row"); e = e.parentElement) if (getComputedStyle(e).overflowX !== "visible") return true; return false; };
      const rows = [...document.querySelectorAll(".error-row")];
      return {
        heights: rows.map((row) => row.offsetHeight),
        outside: rows.flatMap((row) => [...row.querySelectorAll("*")].filter((part) => !hidden(part) && part.getBoundingClientRect().right > row.getBoundingClientRect().right + 0.5).map((part) => part.outerHTML.slice(0, 80))),
      };
    });
    assert.deepEqual(outside, [], `${width} px`);
    assert.ok(Math.max(...heights) < height, `an error is ${heights} px high`);
    const row = page.locator(".error-row", { hasText: "that-is-far-longer" });
    const message = row.locator(":scope > .long .wrap");
    const whole = () => message.evaluate((text) => text.scrollHeight <= text.clientHeight + 1);
    const more = row.locator(":scope > .long").getByRole("button", { name: "Show all of it" });
    assert.equal(await whole(), false);
    await more.focus();
    await page.keyboard.press("Enter");
    await until(whole, "the whole message shows");
    assert.ok(names.includes(await message.textContent()));
    const labels = row.getByRole("button", { name: /other labels/ });
    await labels.focus();
    await page.keyboard.press("Enter");
    const held = Object.values((await cluster.get("groups")).groups).map(({ label }) => label).filter((label) => label.includes("-label-"));
    assert.equal(held.length, names.length);
    const links = row.locator(".counted").first().locator("a");
    await until(async () => await links.count() === held.length, "every label is named");
    assert.deepEqual(new Set(await links.evaluateAll((all) => all.map(({ title }) => title))), new Set(held));
    await row.getByRole("button", { name: /^Show 3 labels/ }).click();
    const cells = page.getByRole("group", { name: "Events" }).locator("tbody tr td");
    assert.ok(await cells.evaluateAll((all) => all.every((cell) => cell.offsetWidth < 600)), "no cell of the table is wider than a line of text");
    await show(page, "overview");
  }
});
