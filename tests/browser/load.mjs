// A feed with more news than a cluster of this machine can make: 200,000 rectangles a second, and a group of a million tasks.
// Only what the timeline and the raster read; every other resource is a 404, which a page must bear as well.
import { createServer } from "node:http";
import { existsSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { WebSocketServer } from "ws";

const DIST = new URL("../../dashboard/web/dist/", import.meta.url).pathname;
const LANES = 64;
const HZ = 10;
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

/** A frame of feed.md, section 3, with `count` rectangles spread over (t0, t1]. */
export function frameOf(subscription, t0, t1, delta, count, lanes = LANES) {
  const aligned = (bytes) => Math.ceil(bytes / 8) * 8;
  const buffer = new ArrayBuffer(56 + 2 * aligned(4 * lanes) + 24 * count + 2 * aligned(4 * count));
  const header = new DataView(buffer);
  header.setUint32(0, 0x31465457, true);
  header.setUint32(4, subscription, true);
  header.setFloat64(16, t0, true);
  header.setFloat64(24, t1, true);
  header.setUint8(33, delta ? 1 : 0);
  header.setUint32(36, lanes, true);
  header.setUint32(40, count, true);
  let offset = 56;
  const take = (Type, length) => {
    const block = new Type(buffer, offset, length);
    offset = aligned(offset + block.byteLength);
    return block;
  };
  const worker = take(Uint32Array, lanes), slot = take(Uint32Array, lanes);
  const start = take(Float64Array, count), end = take(Float64Array, count), lane = take(Uint32Array, count), group = take(Uint32Array, count);
  for (let i = 0; i < lanes; ++i) { worker[i] = 1 + (i >> 2); slot[i] = i & 3; }
  const step = (t1 - t0) / Math.max(1, count) * lanes;
  for (let i = 0; i < count; ++i) {
    lane[i] = i % lanes;
    group[i] = (i >> 9) % 11;
    start[i] = t0 + Math.floor(i / lanes) * step;
    end[i] = start[i] + step * 0.8;
  }
  return buffer;
}

export async function startLoad({ rectsPerSecond = 200_000, tasks = 1_000_000 } = {}) {
  const began = performance.now();
  const now = () => Math.round((performance.now() - began) * 1000) + 60e6;
  const times = () => ({ t0: now() - 5e6, t1: now(), live: true });
  const raster = new Uint8Array(tasks).map((_, i) => (i < tasks * 0.9 ? 4 : i < tasks * 0.95 ? 11 : 1));
  const bodies = {
    workers: () => ({ ...times(), workers: Object.fromEntries(Array.from({ length: LANES / 4 }, (_, i) => [i + 1, { name: `worker-${i}`, alive: true, slots: 4 }])) }),
    groups: () => ({ ...times(), groups: Object.fromEntries(Array.from({ length: 11 }, (_, i) => [i, { label: `group-${i}`, colour: i }])) }),
    graph: () => ({ ...times(), nodes: { 3: { label: "million", total: tasks, done: tasks * 0.9, failed: 0, open: tasks * 0.1, depth: 0 } }, edges: {} }),
  };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://load");
    const body = bodies[pathname.replace("/api/v1/", "")];
    const file = join(DIST, pathname === "/" ? "index.html" : pathname);
    if (pathname === "/api/v1/graph/raster") return response.end(raster);
    if (body) return response.end(JSON.stringify(body()));
    if (existsSync(file)) return response.setHeader("Content-Type", TYPES[extname(file)]).end(readFileSync(file));
    response.writeHead(404).end(JSON.stringify({ error: { code: 404, text: "not in this feed" } }));
  });
  new WebSocketServer({ server, path: "/ws" }).on("connection", (socket) => {
    const timers = new Map();
    socket.send(JSON.stringify({ hello: { version: 1, session: "load", epoch: 1, now: now(), origin_unix_us: Date.now() * 1000, control: false, mode: "live" } }));
    socket.on("message", (text) => {
      const { sub = [], unsub = [] } = JSON.parse(text);
      for (const id of unsub) { clearInterval(timers.get(id)); timers.delete(id); }
      for (const { id, get } of sub) {
        const body = bodies[get.replace("/api/v1/", "").split("?")[0]];
        if (body) socket.send(JSON.stringify({ id, seq: 1, t: now(), snapshot: body() }));
        if (!get.startsWith("/api/v1/stream")) continue;
        let last = now();
        socket.send(frameOf(id, last - 1e6, last, false, 1000));
        timers.set(id, setInterval(() => {
          const t = now();
          socket.send(frameOf(id, last, t, true, Math.round(rectsPerSecond * (t - last) / 1e6)));
          last = t;
        }, 1000 / HZ));
      }
    });
    socket.on("close", () => { for (const timer of timers.values()) clearInterval(timer); });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => { server.closeAllConnections(); server.close(); } };
}
