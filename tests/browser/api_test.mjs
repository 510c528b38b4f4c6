// What machines read, of a real job: every resource is what the schema says, nothing more and nothing less; Prometheus could read
// /metrics; an autoscaler can read /scale.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import Ajv from "ajv/dist/2020.js";
import { until } from "./browser.mjs";
import { startCluster } from "./cluster.mjs";

let cluster, schema, key;
before(async () => {
  cluster = await startCluster();
  schema = await cluster.get("schema");
  key = Object.keys((await cluster.get("tasks?label=refuse&limit=1")).tasks)[0];
});
after(async () => { await cluster?.stop(); });

test("every resource is as its schema says", async () => {
  // Past tables are those of moments, which are made once a second: the first with a worker in it must be there.
  let moment;
  await until(async () => {
    moment = (await cluster.get("overview")).t1;
    return Object.keys((await cluster.get(`workers?t1=${moment}`)).workers).length > 0;
  }, "a moment of the past has workers");
  const ajv = new Ajv({ strict: false, allErrors: true });
  ajv.addSchema(schema, "weft");
  const paths = { memory: ["memory", "memory?by=group", "memory?by=key"], workers: ["workers", "workers/worker-0"], series: ["series", "series?by=worker"],
    "runs/compare": ["runs/compare?a=0&b=0"], "timeline/time": ["timeline/time", "timeline/time?t0=0&px=300"], tasks: ["tasks?limit=10000"], error: ["nothing", "tasks?limit=x", "workers/nobody"] };
  for (const name of Object.keys(schema.resources)) {
    const validate = ajv.getSchema(`weft#/resources/${name.replaceAll("/", "~1")}`);
    for (const path of paths[name] ?? [name.replace("KEY", key)]) {
      for (const t1 of name.startsWith("tasks/KEY/") || name === "error" ? [""] : ["", `t1=${moment}`]) {
        const address = t1 ? `${path}${path.includes("?") ? "&" : "?"}${t1}` : path;
        assert.ok(validate(await cluster.get(address)), `${address}: ${ajv.errorsText(validate.errors?.slice(0, 3))}`);
      }
    }
  }
});

// Source: https://prometheus.io/docs/instrumenting/exposition_formats/, text format 0.0.4, and what promtool check metrics adds.
test("/metrics keeps Prometheus's grammar", async () => {
  const response = await fetch(`${cluster.url}/metrics`);
  assert.match(response.headers.get("content-type"), /^text\/plain; version=0\.0\.4/);
  const text = await response.text();
  assert.ok(text.endsWith("\n"));
  const sample = /^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (?:[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|Inf)|NaN)( -?\d+)?$/;
  const types = new Map(), helps = new Set(), series = new Set();
  let family = "";
  for (const line of text.trimEnd().split("\n")) {
    const [, comment, name, rest] = line.match(/^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.+)$/) ?? [];
    if (comment === "HELP") { assert.ok(!helps.has(name), `${name} has two HELP lines`); helps.add(name); continue; }
    if (comment === "TYPE") {
      assert.ok(!types.has(name) && ["counter", "gauge"].includes(rest), line);
      assert.equal(name.endsWith("_total"), rest === "counter", `${name}: counters, and they alone, end in _total`);
      types.set(family = name, rest);
      continue;
    }
    const found = line.match(sample);
    assert.ok(found, `not a sample: ${line}`);
    assert.equal(found[1], family, "samples follow the TYPE of their family");
    assert.ok(helps.has(family), `${family} has no HELP`);
    const id = found[1] + (found[2] ?? "");
    assert.ok(!series.has(id), `${id} is there twice`);
    series.add(id);
  }
  assert.ok(types.size > 20);
  assert.ok(text.includes('weft_worker_slots{worker="worker-0"} 2'));
});

test("the Grafana dashboard asks for metrics that are there", async () => {
  const text = await (await fetch(`${cluster.url}/metrics`)).text();
  const { panels } = JSON.parse(readFileSync(new URL("../../k8s/grafana-dashboard.json", import.meta.url)));
  const asked = new Set(panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => expr.match(/weft_\w+/g))));
  assert.ok(asked.size > 10);
  for (const name of asked) assert.ok(text.includes(`# TYPE ${name} `), `${name} is no metric of ours`);
});

test("an autoscaler learns how many slots the open work wants", async () => {
  const { workers, slots, backlog_s: backlog, wanted_slots: wanted } = await cluster.get("scale");
  assert.deepEqual([workers, slots], [3, 6]);
  assert.ok(backlog >= 0 && wanted >= 0 && wanted <= 1000, `${backlog} ${wanted}`);
});
