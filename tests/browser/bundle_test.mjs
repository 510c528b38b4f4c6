// What is committed is what the sources give, is small enough, and never parses text as HTML.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const web = new URL("../../dashboard/web/", import.meta.url).pathname;
const files = (folder) => readdirSync(folder, { recursive: true }).map((name) => join(folder, name)).filter((name) => statSync(name).isFile()).sort();
const contents = (folder) => files(folder).map((name) => [relative(folder, name), readFileSync(name).toString("base64")]);

test("a fresh build gives the committed bytes", () => {
  const fresh = mkdtempSync(join(tmpdir(), "weft-bundle-"));
  try {
    execFileSync("npm", ["run", "--silent", "check"], { cwd: web });
    execFileSync("node", ["build.mjs", fresh], { cwd: web });
    assert.deepEqual(contents(fresh), contents(join(web, "dist")));
  } finally { rmSync(fresh, { recursive: true, force: true }); }
});

test("the whole bundle is at most 60 kB gzipped", () => {
  const sizes = files(join(web, "dist")).map((name) => gzipSync(readFileSync(name), { level: 9 }).length);
  assert.ok(sizes.reduce((sum, size) => sum + size, 0) <= 60_000, `${sizes}`);
});

test("no source turns text into HTML", () => {
  const doors = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|new Function|eval\(/;
  assert.deepEqual(files(join(web, "src")).filter((name) => doors.test(readFileSync(name, "utf8"))), []);
});
