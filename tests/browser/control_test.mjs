// Verbs change something, so they are there only when the scheduler allows them; then they do what they say.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openBrowser, openPage, show, until } from "./browser.mjs";
import { startCluster } from "./cluster.mjs";

const firstOf = async (cluster, label) => Object.keys((await cluster.get(`tasks?label=${label}&limit=1`)).tasks)[0];
const verbs = (page) => page.getByRole("button", { name: /^(Retry|Cancel|Retire)/ });
const order = (cluster, verb, body) => fetch(`${cluster.url}/api/v1/control/${verb}`, {
  method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", Origin: cluster.url } });

test("without --dashboard-control there is no verb", async () => {
  const cluster = await startCluster();
  const browser = await openBrowser();
  try {
    const page = await openPage(browser, cluster.url);
    const [failed, endless] = [await firstOf(cluster, "refuse"), await firstOf(cluster, "linger")];
    for (const address of [`tasks/${failed}`, `tasks/${endless}`, "workers/worker-2"]) {
      await show(page, address);
      assert.equal(await verbs(page).count(), 0, address);
    }
    for (const [verb, body] of [["retry", { keys: [failed] }], ["cancel", { keys: [endless] }], ["retire", { workers: ["worker-2"] }], ["rebalance", {}], ["restart", {}]])
      assert.equal((await order(cluster, verb, body)).status, 403, verb);
    assert.equal((await cluster.get(`tasks/${endless}`)).task.state, "assigned");
  } finally {
    await browser.close();
    await cluster.stop();
  }
});

test("with it, a task is retried and cancelled and a worker retired, by keyboard", async () => {
  const cluster = await startCluster({ args: ["--dashboard-control"] });
  const browser = await openBrowser();
  try {
    const page = await openPage(browser, cluster.url);
    const [failed, endless] = [await firstOf(cluster, "refuse"), await firstOf(cluster, "linger")];
    const state = async (key) => (await cluster.get(`tasks/${key}`)).task;

    const { attempts } = await state(failed);
    await show(page, `tasks/${failed}`);
    await verbs(page).press("Enter");
    await until(async () => (await state(failed)).attempts > attempts, "the failed task has run again");

    await show(page, `tasks/${endless}`);
    await page.getByRole("button", { name: "Cancel" }).press("Enter");
    await until(async () => (await state(endless)).state !== "assigned", "the endless task is cancelled");

    await show(page, "workers/worker-2");
    await verbs(page).first().press("Enter");
    await page.getByRole("button", { name: /Hand over its values/ }).press("Enter");
    await until(async () => Object.values((await cluster.get("workers")).workers).find(({ name }) => name === "worker-2").status !== "running", "worker-2 retires");

    await order(cluster, "retire", { workers: ["worker-1"] });
    await show(page, "workers/worker-0");
    await verbs(page).first().press("Enter");
    await page.getByRole("button", { name: /Hand over its values/ }).press("Enter");
    await page.getByRole("alert").filter({ hasText: "It stays: it holds" }).waitFor();

    const said = (await cluster.get("events?kind=control")).events.map(({ text }) => text.split(" ")[0]);
    assert.deepEqual(said, ["retry", "cancel", "retire", "retire", "retire"]);
    assert.equal((await order(cluster, "rebalance", {})).status, 200);
    assert.deepEqual(page.problems, []);
  } finally {
    await browser.close();
    await cluster.stop();
  }
});
