// What ran where, over all time: the task stream, live or scrubbed.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { clock, cursor, edge, following, seek, span, zoom } from "../cursor";
import { Lanes, type Hit } from "../draw/lanes";
import { drawAxis } from "../draw/axis";
import { groupColour, groupColours } from "../feed/groups";
import { Asker } from "../feed/asker";
import { getBytes, withQuery, type FeedError } from "../feed/http";
import { isReport } from "../feed/report";
import { subscribe } from "../feed/socket";
import { readFrame, type Frame } from "../feed/stream";
import { useTimeShown, type TimeShown } from "../feed/time";
import { useAsked, useFeed, usePresent } from "../feed/use";
import type { Groups, TimelineTable, Workers } from "../feed/types";
import { fitted, prepare, rem } from "../parts/canvas";
import { Awaiting, Empty, GroupName, KeyLink, Loading, Meter, Page, Panel, Problem } from "../parts/basics";
import { Figure } from "../parts/figure";
import { clockTime, micros, plural, share } from "../parts/format";
import { Table } from "../parts/table";
import { go, address } from "../router";
import { calm, palette } from "../theme";

const LANES_SHOWN = 256;
const AXIS = 22;
const HZ = 10;
const CALM_MS = 1000;
const LABEL_WIDTH_MIN = 44;
const SPANS: [string, number][] = [["10 s", 10e6], ["1 min", 60e6], ["10 min", 600e6], ["1 h", 3600e6]];

export function Timeline() {
  const [firstLane, setFirstLane] = useState(0);
  const { body: groups } = usePresent<Groups>("groups", 1);
  const { body: workers, error } = useFeed<Workers>("workers");
  const lanes = useMemo(() => new Lanes(groupColour), []);
  useEffect(() => lanes.repaint(), [groupColours.value]);
  const { problem, asking } = useStream(lanes, firstLane);
  void clock.value;
  const t1 = edge();
  const t0 = t1 - span.value;
  const time = useTimeShown();
  const label = (group: number) => groups?.groups[group]?.label ?? `group ${group}`;
  const slots = lanes.laneWorker.length;
  const busy = time && time.all > 0 ? share(Math.min(1, 1 - time.idle / time.all)) : share(null);
  const says = `Task timeline of ${plural(slots, "slot")}, ${clockTime(t0)} to ${clockTime(t1)}: ${busy} busy`
    + (time?.groups[0] ? `, most of it with ${time.groups[0][1]}.` : ".");
  if (!workers) return <Page title="Timeline"><Awaiting error={error} /></Page>;
  return (
    <Page title="Timeline" note={`${plural(time?.slots ?? slots, "slot")}, ${busy} busy, ${micros(span.value)} shown`}
      tools={<>{SPANS.map(([name, width]) => (
        <button key={name} aria-pressed={span.value === width} onClick={() => { span.value = width; }}>{name}</button>
      ))}</>}>
      {problem && <Problem error={problem} />}
      <Panel title="Task stream" note={lanes.exact ? "every task; hover or press one" : "too many to tell apart: the height is the busy share"}
        tools={slots >= LANES_SHOWN || firstLane > 0 ? (
          <>
            <button disabled={firstLane === 0} onClick={() => setFirstLane(Math.max(0, firstLane - LANES_SHOWN))}>Slots before</button>
            <button disabled={slots < LANES_SHOWN} onClick={() => setFirstLane(firstLane + LANES_SHOWN)}>Slots after</button>
          </>
        ) : undefined}>
        <Figure says={says} table={() => <RectTable t0={t0} t1={t1} firstLane={firstLane} label={label} workers={workers} />}
          legend={<StreamLegend shown={time?.groups.slice(0, 8) ?? []} transfers={lanes.transfers} />}>
          <StreamCanvas lanes={lanes} name={(worker) => workers.workers[worker]?.name ?? `worker ${worker}`} label={label} />
        </Figure>
        {asking && !problem && <Loading />}
        {!asking && slots === 0 && <Empty title="No worker has been seen in this time">Start one with <code>weft-worker</code>, or run a program with <code>weft local --workers 4 -- ./program</code>.</Empty>}
        {slots > 0 && lanes.empty && <Empty title="Nothing ran in this time">Move the time with ← and →, or show more with −.</Empty>}
      </Panel>
      {time && time.groups.length > 0 && <TimePanel time={time} />}
    </Page>
  );
}

const IDLE: [id: string, label: string] = ["idle", "idle: nothing ran"];

function TimePanel({ time }: { time: TimeShown }) {
  const rows: TimeShown["groups"] = [...time.groups, [...IDLE, time.idle]];
  const of = Math.max(1, time.all);
  return (
    <Panel title="Where the time went" note={`of ${plural(time.slots, "slot")}, ${micros(time.all)} together; ${time.within > 0 ? `right to within ${micros(time.within)}` : "exact"}`}>
      <Table name="Time by group" rows={rows} id={([id]) => id} sort="Time" columns={[
        { name: "Group", value: ([, label]) => label, cell: ([id, label]) => (id === IDLE[0] ? <span class="dim">{label}</span> : <GroupName id={id} label={label} />) },
        { name: "Share", value: ([, , taken]) => taken, cell: ([, , taken]) => <Meter share={taken / of} text={share(taken / of)} /> },
        { name: "Time", number: true, value: ([, , taken]) => taken, cell: ([id, , taken]) => <span data-time={id}>{micros(taken)}</span> },
      ]} />
    </Panel>
  );
}

// Feeds the picture: subscribed while it follows, asked for a window that stands still.
function useStream(lanes: Lanes, firstLane: number): { problem: FeedError | null; asking: boolean } {
  const [problem, setProblem] = useState<FeedError | null>(null);
  const [asking, setAsking] = useState(true);
  const [, redraw] = useState<Frame | null>(null);  // the words around the picture: in a history no clock moves them
  const take = (frame: Frame) => {
    lanes.take(frame);
    if (frame.delta) return;
    setAsking(false);
    redraw(frame);
  };
  const asker = useMemo(() => new Asker(getBytes, ({ bytes }) => {
    const frame = readFrame(bytes);
    if (frame) take(frame);
  }, setProblem), []);
  const px = Math.min(2400, Math.max(200, Math.round(innerWidth / 100) * 100));
  const path = withQuery("stream", { px, lanes: `${firstLane}-${firstLane + LANES_SHOWN - 1}` });
  const at = cursor.value;
  const width = span.value;
  useEffect(() => {
    setProblem(null);
    if (at === null && !isReport) {
      asker.stop();
      return subscribe(path, HZ, { frame: take, error: setProblem }, width);
    }
    const t1 = Math.round(at ?? edge());
    asker.ask(withQuery(path, { t0: Math.max(0, t1 - width), t1 }));
  }, [path, at, width]);
  useEffect(() => () => asker.stop(), []);
  return { problem, asking };
}

function StreamCanvas({ lanes, name, label }: { lanes: Lanes; name(worker: number): string; label(group: number): string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [tip, setTip] = useState<{ hit: Hit; x: number; y: number; right: boolean } | null>(null);
  const room = Math.max(480, innerHeight - 420);
  const laneHeight = Math.min(26 * rem() ** 2, Math.max(3, Math.floor(room / Math.max(1, lanes.laneWorker.length))));
  const height = AXIS + laneHeight * Math.max(1, lanes.laneWorker.length);
  const gutter = () => (canvas.current!.clientWidth < 480 ? 56 : 104 * rem());
  const scene = useRef(() => {});
  scene.current = () => {
    if (!canvas.current) return;
    const surface = prepare(canvas.current, height);
    const box = { x: gutter(), y: AXIS, width: surface.width - gutter(), height: height - AXIS };
    if (box.width <= 0) return;
    const t1 = edge();
    lanes.draw(surface, box, t1, span.peek(), following.peek(), palette.value);
    drawAxis(surface, box, t1 - span.peek(), t1, palette.value);
    drawNames(surface.context, lanes, laneHeight, box.x, name);
    if (laneHeight >= 14 && lanes.exact) drawLabels(surface.context, lanes, laneHeight, box, t1, label);
  };
  useFrames(scene);
  const place = (x: number, y: number): Hit | null => {
    const width = canvas.current!.clientWidth - gutter();
    const perPixel = span.peek() / width;
    const lane = Math.floor((y - AXIS) / laneHeight);
    return x < gutter() || lane < 0 ? null : lanes.hit(lane, edge() - (gutter() + width - x) * perPixel, perPixel * 2, edge());
  };
  const move = (event: PointerEvent) => {
    if (event.buttons & 1 && event.movementX) seek(edge() - event.movementX * span.peek() / (canvas.current!.clientWidth - gutter()));
    const hit = place(event.offsetX, event.offsetY);
    setTip(hit && { hit, x: event.offsetX, y: event.offsetY, right: event.offsetX > canvas.current!.clientWidth / 2 });
  };
  const press = (event: MouseEvent) => {
    const hit = place(event.offsetX, event.offsetY);
    if (hit?.key) go(address("tasks", hit.key));
  };
  const wheel = (event: WheelEvent) => {
    if (!event.ctrlKey && !event.shiftKey) return;  // plain scrolling stays the page's
    event.preventDefault();
    const width = canvas.current!.clientWidth - gutter();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, edge() - (gutter() + width - event.offsetX) / width * span.peek());
  };
  return (
    <>
      <canvas ref={canvas} style={{ height: `${height}px`, touchAction: "pan-y" }} aria-hidden="true" onPointerMove={move}
        onPointerLeave={() => setTip(null)} onDblClick={press} onClick={press} onWheel={wheel} />
      {tip && (
        <div class="tip" style={{ top: `${tip.y + 14}px`, ...(tip.right ? { right: `calc(100% - ${tip.x - 8}px)` } : { left: `${tip.x + 12}px` }) }}>
          <strong>{label(tip.hit.group)}</strong>
          <span>{name(lanes.laneWorker[tip.hit.lane]!)}, slot {lanes.laneSlot[tip.hit.lane]}</span>
          <span>{clockTime(tip.hit.start, 1e3)}, {tookText(tip.hit)}</span>
          {tip.hit.key && <span>press to open the task</span>}
        </div>
      )}
    </>
  );
}

function tookText({ start, end, busy, open }: Hit): string {
  if (open) return `runs for ${micros(end - start)}`;
  return busy === undefined ? `took ${micros(end - start)}` : `${share(busy)} busy`;
}

// Draws at the screen's rate while time moves, in the next frame after a render otherwise; once a second for those who want calm.
function useFrames(scene: { current(): void }): void {
  useEffect(() => {
    const handle = requestAnimationFrame(() => scene.current());  // answers that come together are drawn once
    return () => cancelAnimationFrame(handle);
  });
  const live = following.value;
  useEffect(() => {
    if (!live) return;
    let drawn = -Infinity;
    let handle = requestAnimationFrame(function frame(now) {
      handle = requestAnimationFrame(frame);
      if (calm.matches && now - drawn < CALM_MS) return;
      drawn = now;
      scene.current();
    });
    return () => cancelAnimationFrame(handle);
  }, [live]);
}

function drawNames(context: CanvasRenderingContext2D, lanes: Lanes, laneHeight: number, width: number, name: (worker: number) => string): void {
  context.fillStyle = palette.value.dim;
  let free = 0;
  lanes.laneWorker.forEach((worker, lane) => {
    const y = AXIS + lane * laneHeight;
    if (lanes.laneWorker[lane - 1] === worker || y < free) return;
    context.fillText(fitted(context, name(worker), width - 10), 0, y + Math.max(laneHeight, 10) / 2);
    free = y + 13;
  });
}

function drawLabels(context: CanvasRenderingContext2D, lanes: Lanes, laneHeight: number, box: { x: number; width: number }, t1: number, label: (group: number) => string): void {
  context.fillStyle = palette.value.onColour;
  for (const { group, lane, from, to } of lanes.labels(t1 - span.peek(), t1, box.width, LABEL_WIDTH_MIN)) {
    context.fillText(fitted(context, label(group), to - from - 8), box.x + from + 4, AXIS + (lane + 0.5) * laneHeight);
  }
}

function StreamLegend({ shown, transfers }: { shown: TimeShown["groups"]; transfers: number }) {
  return (
    <ul class="legend">
      {shown.map(([group, label, time]) => (
        <li key={group}><GroupName id={group} label={label} /> {micros(time)}</li>
      ))}
      {transfers > 0 && <li><span class="swatch fill-transfer" aria-hidden="true" />dotted below: values received</li>}
    </ul>
  );
}

interface TableRow { lane: string; key: string; group: number; start: number; end: number; open?: boolean }

function RectTable({ t0, t1, firstLane, label, workers }: {
  t0: number; t1: number; firstLane: number; label(group: number): string; workers: Workers;
}) {
  const [window] = useState({ t0: Math.max(0, Math.round(t0)), t1: Math.round(t1) });
  const { body, error } = useAsked<TimelineTable>(withQuery("timeline", { px: 1100, lanes: `${firstLane}-${firstLane + LANES_SHOWN - 1}`, ...window }));
  if (!body) return <Awaiting error={error} />;
  const where = (lane: string) => {
    const place = body.lanes[lane];
    return place ? `${workers.workers[place.worker]?.name ?? place.worker}, slot ${place.slot}` : lane;
  };
  // A report holds all time, whatever was asked for.
  const within = <Row extends { start: number }>(rows: Row[], end: (row: Row) => number) => rows.filter((row) => row.start < window.t1 && end(row) > window.t0);
  const rows: TableRow[] = [...within(body.rects, ({ end }) => end),
    ...within(body.running, () => window.t1).map((run) => ({ ...run, end: window.t1, open: true }))];
  return (
    <Table name="Tasks in this time" rows={rows} id={(row) => `${row.key} ${row.start}`} sort="Began" columns={[
      { name: "Task", cell: (row) => <KeyLink taskKey={row.key} /> },
      { name: "Group", value: (row) => label(row.group), cell: (row) => <GroupName id={row.group} label={label(row.group)} /> },
      { name: "Where", value: (row) => where(row.lane) },
      { name: "Began", number: true, value: (row) => row.start, cell: (row) => clockTime(row.start, 1e3) },
      { name: "Took", number: true, value: (row) => row.end - row.start, cell: (row) => (row.open ? `runs for ${micros(row.end - row.start)}` : micros(row.end - row.start)) },
    ]} />
  );
}
