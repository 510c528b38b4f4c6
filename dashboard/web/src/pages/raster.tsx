// A group's tasks, one pixel each: what is done, what runs, what failed, and where it stands in the order.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { cursor } from "../cursor";
import { columnsFor, countTasks, paintRaster, RASTER_STATES, type RasterCounts } from "../draw/raster";
import { Asker } from "../feed/asker";
import { getBytes, getJson, withQuery, type FeedError } from "../feed/http";
import { link } from "../feed/socket";
import type { RasterPixel } from "../feed/types";
import { Awaiting, Empty, Legend, Panel, State } from "../parts/basics";
import { Figure } from "../parts/figure";
import { count, micros, plural, shortKey } from "../parts/format";
import { Table } from "../parts/table";
import { address, go } from "../router";
import { palette } from "../theme";

const EVERY_MS = 1000;
const HOVER_MS = 60;
const HEIGHT = 360;
const PIXEL_MAX = 16;
const CELL_MIN = 6;  // tasks this large are told apart by a seam

interface Raster { tasks: Uint8Array; left: number; counts: RasterCounts }

export function RasterPanel({ group, label }: { group: string; label: string }) {
  const { raster, error } = useRaster(group);
  return (
    <Panel title={`Every task of ${label}`} note="one pixel a task, in the order they were first seen; press one to open it"
      tools={<a class="button" href={address("tasks", null, { label })}>List them</a>}>
      {!raster ? <Awaiting error={error} />
        : raster.tasks.length === 0 ? <Empty title="No task of this group is held now">Those that were released by every client are forgotten. Look at an earlier time, or at Runs.</Empty>
          : <Picture raster={raster} group={group} label={label} />}
    </Panel>
  );
}

function useRaster(group: string): { raster: Raster | null; error: FeedError | null } {
  const [raster, setRaster] = useState<Raster | null>(null);
  const [error, setError] = useState<FeedError | null>(null);
  const at = cursor.value;
  const open = link.value;
  const asker = useMemo(() => new Asker(getBytes, ({ bytes, headers }) => {
    const tasks = new Uint8Array(bytes);
    setRaster({ tasks, left: Number(headers.get("X-Weft-First") ?? 0), counts: countTasks(tasks) });
    setError(null);
  }, setError), [group]);
  useEffect(() => {
    const ask = () => asker.ask(withQuery("graph/raster", { group, t1: at }));
    ask();
    if (at !== null || open !== "open") return;
    const timer = setInterval(ask, EVERY_MS);
    return () => clearInterval(timer);
  }, [asker, at, open]);
  useEffect(() => () => asker.stop(), [asker]);
  return { raster, error };
}

function Picture({ raster: { tasks, left, counts }, group, label }: { raster: Raster; group: string; label: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [pointed, setPointed] = useState<{ pixel: RasterPixel; x: number; y: number } | null>(null);
  const [width, setWidth] = useState(0);
  const columns = columnsFor(tasks.length, Math.max(width, 100), HEIGHT);
  const rows = Math.ceil(tasks.length / columns);
  const size = Math.min(PIXEL_MAX, width / columns, HEIGHT / rows);
  const colours = palette.value;
  useEffect(() => {
    const place = canvas.current!.parentElement!;
    const observer = new ResizeObserver(() => setWidth(place.clientWidth));
    observer.observe(place);
    return () => observer.disconnect();
  }, []);
  useEffect(() => { if (width) paintRaster(canvas.current!, tasks, columns, colours); }, [tasks, columns, colours, width]);
  const hover = usePixel(group, setPointed);
  const indexAt = (event: MouseEvent) => Math.floor(event.offsetY / size) * columns + Math.floor(event.offsetX / size);
  const there = RASTER_STATES.filter((state) => counts.states[state]);
  const says = `${plural(tasks.length, "task")} of ${label}: ${there.map((state) => `${count(counts.states[state])} ${state}`).join(", ")}; `
    + `${count(counts.running)} run now, ${count(counts.repeated)} ran more than once.`;
  return (
    <Figure says={says}
      legend={<Legend items={[...there.map((state): [string, string] => [`${state} ${count(counts.states[state])}`, `fill-${state}`]), [`running ${count(counts.running)}`, "fill-running"]]} />}
      table={() => (
        <Table name={`Tasks of ${label} by state`} rows={there} id={(state) => state} columns={[
          { name: "State", value: (state) => state, cell: (state) => <State name={state} /> },
          { name: "Tasks", number: true, value: (state) => counts.states[state], cell: (state) => count(counts.states[state]) },
          { name: "", cell: (state) => <a href={address("tasks", null, { label, state })}>List these</a> },
        ]} />
      )}>
      <canvas ref={canvas} aria-hidden="true" data-tasks={tasks.length} style={{ width: `${columns * size}px`, height: `${rows * size}px`, imageRendering: "pixelated", cursor: "pointer" }}
        onPointerMove={(event) => hover(indexAt(event), event.offsetX, event.offsetY)} onPointerLeave={() => setPointed(null)}
        onClick={async (event) => {
          const found = await askPixel(group, indexAt(event));
          if (found) go(address("tasks", found.key));
        }} />
      {size >= CELL_MIN && <div class="cells" style={{ width: `${columns * size}px`, height: `${rows * size}px`, backgroundSize: `${size}px ${size}px` }} />}
      {left > 0 && <p class="dim">{plural(left, "older task")} were forgotten and left out.</p>}
      {pointed && (
        <div class="tip" style={{ left: `${Math.min(pointed.x + 12, Math.max(0, width - 200))}px`, top: `${pointed.y + 14}px` }}>
          <strong class="key">{shortKey(pointed.pixel.key)}</strong>
          <span>task {count(pointed.pixel.index)}, {stateName(pointed.pixel.state)}{pointed.pixel.worker ? ` on ${pointed.pixel.worker}` : ""}</span>
          {pointed.pixel.start != null && pointed.pixel.end != null && <span>took {micros(pointed.pixel.end - pointed.pixel.start)}</span>}
        </div>
      )}
    </Figure>
  );
}

const stateName = (state: number | string): string => (typeof state === "number" ? RASTER_STATES[state & 7] ?? "unknown" : state);

const askPixel = (group: string, index: number): Promise<RasterPixel | null> =>
  getJson<RasterPixel>(withQuery("graph/raster", { group, at: index, t1: cursor.peek() })).catch(() => null);

// Asks for the pointed task when the pointer rests; an answer that comes late for a pointer that moved on is dropped.
function usePixel(group: string, tell: (found: { pixel: RasterPixel; x: number; y: number } | null) => void) {
  const turn = useRef({ timer: 0, number: 0 });
  return (index: number, x: number, y: number) => {
    const { timer } = turn.current;
    const number = ++turn.current.number;
    clearTimeout(timer);
    turn.current.timer = window.setTimeout(async () => {
      const pixel = await askPixel(group, index);
      if (turn.current.number === number) tell(pixel && { pixel, x, y });
    }, HOVER_MS);
  };
}
