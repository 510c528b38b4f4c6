// Everything without a mouse: pages, search, help, time.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openBrowser, openPage, show, until } from "./browser.mjs";
import { startCluster } from "./cluster.mjs";

const LETTERS = { o: "Overview", t: "Timeline", g: "Graph", r: "Groups", k: "Tasks", w: "Workers", m: "Memory", n: "Network", p: "Profile", e: "Events and errors", l: "Logs", u: "Runs", s: "System" };
let cluster, browser, page;

before(async () => {
  cluster = await startCluster();
  browser = await openBrowser();
  page = await openPage(browser, cluster.url);
});
after(async () => { await browser?.close(); await cluster?.stop(); });

const live = () => page.getByRole("button", { name: /Live|Paused/ }).getAttribute("aria-pressed");

test("g and a letter open each page, and the focus goes there", async () => {
  await show(page, "system");
  for (const [letter, title] of Object.entries(LETTERS)) {
    await page.keyboard.press("g");
    await page.keyboard.press(letter);
    await page.locator("main h1", { hasText: title }).waitFor();
    await page.waitForFunction(() => document.activeElement.tagName === "MAIN");
    assert.match(await page.title(), new RegExp(`^${title}`));
  }
});

test("Tab reaches every link of the navigation, and where it is can be seen", async () => {
  await page.goto(`${cluster.url}/#/overview`);
  await page.reload();
  await page.locator("[data-id=finished]").waitFor();
  const reached = [];
  for (let i = 0; i < 40; ++i) {
    await page.keyboard.press("Tab");
    const { tag, text, outline } = await page.evaluate(() => {
      const at = document.activeElement;
      return { tag: at.tagName, text: at.textContent, outline: getComputedStyle(at).outlineStyle };
    });
    if (tag === "BODY") break;  // past the end: the next is in the browser's own bars
    assert.equal(outline, "solid", `the focus on “${text}” is not visible`);
    reached.push(text);
  }
  for (const title of Object.values(LETTERS)) assert.ok(reached.some((text) => text.startsWith(title)), `${title} was not reached: ${reached}`);
});

test("/ searches, arrows choose, Enter opens, Esc closes", async () => {
  await show(page, "overview");
  await page.keyboard.press("/");
  await page.waitForFunction(() => document.activeElement?.role === "combobox");
  await page.keyboard.type("sum-part");
  await page.getByRole("option", { name: /sum-partial/ }).first().waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await page.locator("main h1", { hasText: "sum-partial" }).waitFor();
  await page.keyboard.press("/");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await until(async () => await page.locator("dialog[open]").count() === 0, "the search has closed");
});

test("? tells every key, and single keys can be switched off", async () => {
  await page.keyboard.press("?");
  const dialog = page.getByRole("dialog", { name: "Keyboard help" });
  await dialog.waitFor();
  for (const title of Object.values(LETTERS)) assert.ok((await dialog.textContent()).includes(title));
  await page.getByLabel("Obey single keys").press(" ");
  await page.keyboard.press("Escape");
  const before = await live();
  await page.keyboard.press(" ");
  assert.equal(await live(), before);
  await page.getByRole("button", { name: "Help", exact: true }).press("Enter");
  await page.getByLabel("Obey single keys").press(" ");
  await page.keyboard.press("Escape");
});

test("space, arrows, plus, minus and Esc move the time", async () => {
  await show(page, "timeline");
  await page.locator("main").focus();
  await page.keyboard.press(" ");
  await until(async () => await live() === "false", "it has paused");
  const slider = page.getByRole("slider", { name: "Time shown" });
  const at = async () => Number(await slider.getAttribute("aria-valuenow"));
  const start = await at();
  await page.keyboard.press("+");
  await page.keyboard.press("+");
  await page.keyboard.press("+");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  await until(async () => await at() < start, "the time has moved back");
  const back = await at();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await until(async () => await at() > back, "the time has moved on");
  await page.keyboard.press("[");
  await page.keyboard.press("-");
  await page.keyboard.press("Escape");
  await until(async () => await live() === "true", "it follows again");
  await slider.focus();
  await page.keyboard.press("Home");
  await until(async () => await live() === "false", "the slider has left the present");
  await page.keyboard.press("End");
  await until(async () => await live() === "true", "the slider is at the present");
});

test("every figure has its table, by keyboard", async () => {
  for (const address of ["overview", "timeline", "memory"]) {
    await show(page, address);
    const button = page.getByRole("button", { name: "Show as table" }).first();
    await button.press("Enter");
    await page.locator("figure table").first().waitFor();
    assert.equal(await button.getAttribute("aria-pressed"), "true");
    await button.press("Enter");
  }
});
