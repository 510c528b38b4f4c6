// The numbers on the page are those of the API, now and in the past, and names and messages are only ever text.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openBrowser, openPage, settled, show, until } from "./browser.mjs";
import { startCluster } from "./cluster.mjs";

let cluster, browser, page;
before(async () => {
  cluster = await startCluster();
  browser = await openBrowser();
  page = await openPage(browser, cluster.url);
});
after(async () => { await browser?.close(); await cluster?.stop(); });

const number = async (id) => Number((await page.locator(`[data-id=${id}]`).textContent()).replace(/[^\d.]/g, ""));

test("while a job runs, the page's numbers follow the API's", async () => {
  const before = await cluster.get("overview");
  await until(async () => {
    const shown = await number("finished");
    const { totals } = await cluster.get("overview");
    return shown > before.totals.finished && shown <= totals.finished;
  }, "the page shows runs that ended after it was opened, and none that the API does not know");
  assert.equal(await number("workers"), before.workers.total);
});

test("at a moment of the past, they are equal", async () => {
  await show(page, "overview");
  await page.locator("main").focus();
  for (let i = 0; i < 6; ++i) await page.keyboard.press("+");  // small steps, so that the moment is one of the job
  await page.keyboard.press(" ");
  const asked = page.waitForRequest(/overview\?t1=\d+/);
  await page.keyboard.press("ArrowLeft");
  const request = await asked;
  const t1 = Number(new URL(request.url()).searchParams.get("t1"));
  const { totals, tasks, workers } = await cluster.get(`overview?t1=${t1}`);
  assert.ok(totals.finished > 200, `${totals.finished} runs had finished`);
  await until(async () => await number("finished") === totals.finished, `the page shows ${totals.finished} finished runs`);
  assert.equal(await number("failed"), tasks.failed);
  assert.equal(await number("open"), tasks.waiting + tasks.ready + tasks.assigned);
  assert.equal(await number("workers"), workers.total);
  const { groups } = await cluster.get(`groups?t1=${t1}`);
  await show(page, "groups");
  for (const { label, total, finished } of Object.values(groups)) {
    const row = page.locator("tbody tr").filter({ has: page.locator(`a[title=${JSON.stringify(label)}]`) });
    const cells = await row.locator("td").allTextContents();
    assert.deepEqual(cells.slice(2, 4).map((text) => Number(text.replaceAll(",", ""))), [total, finished], label);
  }
  await page.keyboard.press("Escape");
});

test("failed tasks and failed attempts have the same two names everywhere", async () => {
  const { totals } = await cluster.get("overview");
  assert.ok(totals.failed_tasks >= 3 && totals.failed_attempts >= 3);
  await show(page, "overview");
  assert.ok((await page.locator(".stats").textContent()).includes(`Failed tasks${totals.failed_tasks}${totals.failed_attempts} failed attempts`));
  await show(page, "workers");
  const [{ failed_attempts: attempts, name }] = Object.values((await cluster.get("workers")).workers);
  const column = (await page.locator("main th").allTextContents()).findIndex((title) => title === "Failed attempts");
  assert.equal(await page.locator("main tbody tr", { hasText: name }).locator("td").nth(column).textContent(), String(attempts));
  for (const [address, title] of [["groups", "Failed tasks"], ["groups", "Failed attempts"], ["runs", "Failed tasks"]]) {
    await show(page, address);
    await page.locator("main th", { hasText: title }).first().waitFor();
  }
  await show(page, "events");
  await page.locator(".error-row header", { hasText: `${totals.failed_attempts} failed attempts, ${totals.failed_tasks} failed tasks` }).waitFor();
  const top = execFileSync(join(process.env.WEFT_BUILD, "weft"), ["top", "--once", "--dashboard", `${cluster.url}/`], { encoding: "utf8" });
  assert.match(top, new RegExp(`${totals.failed_tasks} failed tasks, ${totals.failed_attempts} failed attempts, 0 run again`));
  assert.match(top, /  3 failed attempts, 3 failed tasks: TaskError/);
});

test("markup in names and errors stays text", async () => {
  const { groups } = await cluster.get("groups");
  const [id, { label }] = Object.entries(groups).find(([, group]) => group.label.includes("<img"));
  const bad = Object.values((await cluster.get("tasks?label=refuse&limit=1")).tasks)[0];
  for (const address of ["overview", "groups", `groups/${id}`, "graph", "timeline", "tasks", "events", "logs", `tasks/${bad.key}`]) {
    await show(page, address);
    assert.equal(await page.locator("main img, main script").count(), 0, address);
  }
  await show(page, `groups/${id}`);
  assert.equal(await page.locator("main h1").textContent(), label);
  await show(page, `tasks/${bad.key}`);
  await settled(page);
  assert.ok((await page.locator(".notice.error").first().textContent()).includes("<script>window.broken=1</script>"));
  assert.equal(await page.evaluate(() => window.broken), undefined);
});

test("a raster has one pixel for each task the API counts", async () => {
  const { groups } = await cluster.get("groups");
  const [id, group] = Object.entries(groups).find(([, { label }]) => label === "clean");
  await show(page, `graph/${id}`);
  await until(async () => Number(await page.locator("canvas[data-tasks]").getAttribute("data-tasks")) === group.total, `${group.total} tasks are drawn`);
});

test("a shuffle shows how far it is", async () => {
  await show(page, "network");
  const cells = await page.getByRole("group", { name: "Shuffles" }).locator("tbody td").allTextContents();
  assert.deepEqual(cells.slice(2, 5), ["8 of 8", "4 of 4", "32"]);
  const [{ bytes, moved_bytes }] = Object.values((await cluster.get("network")).shuffles);
  assert.ok(moved_bytes > 0 && moved_bytes < bytes, `${moved_bytes} of ${bytes} moved`);
});

test("a profile is of the chosen time", async () => {
  await until(async () => (await cluster.get("profile")).samples > 0, "stacks were sampled");
  assert.equal((await cluster.get("profile?span=1")).samples, 0);
  await show(page, "profile");
  await page.locator("main").focus();
  await page.keyboard.press(" ");
  for (const span of ["10000000", ""]) {
    const asked = page.waitForRequest((request) => /profile\?/.test(request.url()) && (new URL(request.url()).searchParams.get("span") ?? "") === span);
    await page.locator("main .head").getByLabel("Time").selectOption(span);
    const { search } = new URL((await asked).url());
    const { samples } = await cluster.get(`profile${search}`);
    await until(async () => Number((await page.locator(".head p").textContent()).split(" ")[0].replaceAll(",", "")) === samples, `${samples} samples show`);
  }
  await page.keyboard.press("Escape");
});
