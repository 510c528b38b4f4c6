// Builds dist/, or the folder that is given: index.html and assets/ with hashed names. Equal sources give equal bytes, so that
// the committed bundle can be compared with a fresh one.
import { build } from "esbuild";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

const GZIP_BYTES_MAX = 60_000;
const folder = resolve(process.argv[2] ?? new URL("dist", import.meta.url).pathname);
const dist = pathToFileURL(`${folder}/`);

rmSync(dist, { recursive: true, force: true });
mkdirSync(new URL("assets/", dist), { recursive: true });

const result = await build({
  absWorkingDir: new URL(".", import.meta.url).pathname,
  entryPoints: { weft: "src/main.tsx" },
  outdir: `${folder}/assets`,
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome111", "firefox113", "safari16.4"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  charset: "utf8",
  metafile: true,
  define: { "process.env.NODE_ENV": '"production"' },
});

const icon = readFileSync(new URL("src/icon.svg", import.meta.url));
const iconName = `icon-${createHash("sha256").update(icon).digest("hex").slice(0, 8).toUpperCase()}.svg`;
writeFileSync(new URL(`assets/${iconName}`, dist), icon);

const outputs = Object.keys(result.metafile.outputs).map((name) => name.slice(name.lastIndexOf("assets/")));
const page = readFileSync(new URL("src/index.html", import.meta.url), "utf8")
  .replace("@script@", outputs.find((name) => name.endsWith(".js")))
  .replace("@style@", outputs.find((name) => name.endsWith(".css")))
  .replace("@icon@", `assets/${iconName}`);
writeFileSync(new URL("index.html", dist), page);

let total = 0;
for (const name of ["index.html", ...readdirSync(new URL("assets/", dist)).map((asset) => `assets/${asset}`)]) {
  const bytes = readFileSync(new URL(name, dist));
  const gzipped = gzipSync(bytes, { level: 9 }).length;
  total += gzipped;
  console.log(`${name}: ${bytes.length} bytes, ${gzipped} gzipped`);
}
console.log(`together ${total} bytes gzipped of ${GZIP_BYTES_MAX}`);
if (total > GZIP_BYTES_MAX) {
  console.error(`The bundle is ${total - GZIP_BYTES_MAX} bytes too large: remove something, or find what grew with esbuild's metafile.`);
  process.exit(1);
}
