// The task stream as a picture: keeps the frames of the window, paints them into a ring, and answers what lies where.

import { IDLE, type Columns, type Frame, type OpenRuns, type Rects } from "../feed/stream";
import { pixel, type Palette } from "../theme";
import type { Surface } from "../parts/canvas";
import { Ring } from "./ring";

export interface Hit { group: number; lane: number; start: number; end: number; key?: string; busy?: number; open?: boolean }
export interface Box { x: number; y: number; width: number; height: number }

const RECTS_HELD_MAX = 100_000;
const RECTS_NAMED_MAX = 20_000;
const TRANSFER_ROWS = 3;

export class Lanes {
  laneWorker: Uint32Array = new Uint32Array();
  laneSlot: Uint32Array = new Uint32Array();
  private frames: Frame[] = [];
  private open: OpenRuns | null = null;
  private ring: Ring | null = null;
  private shape = "";
  private colours: Uint32Array = new Uint32Array();
  private transferColour = 0;
  private laneColour = 0;
  private laneRows = 1;

  constructor(private readonly colourOf: (group: number) => number) {}

  take(frame: Frame): void {
    if (!frame.delta) {
      this.frames = [];
      this.laneWorker = frame.laneWorker;
      this.laneSlot = frame.laneSlot;
      this.shape = "";
    }
    this.frames.push(frame);
    this.open = frame.open;
    if (this.ring && this.shape) this.paint(this.ring, frame);
  }

  /** Forgets the painting, not the frames: colours have changed. */
  repaint(): void { this.shape = ""; }

  /** Draws [t1 - span, t1] into a box of the canvas; a live window goes on with what arrives, even ahead of t1. */
  draw({ context, ratio }: Surface, box: Box, t1: number, span: number, live: boolean, palette: Palette): void {
    const width = Math.max(1, Math.round(box.width * ratio));
    const height = Math.max(1, Math.round(box.height * ratio));
    const column = Math.floor(t1 / (span / width));
    const ring = this.ringFor(width, height, span, column, live, palette);
    ring.reach(column);
    if (live) this.prune(t1 - span);
    ring.show(context, box.x, box.y, box.width, box.height);
    this.drawOpen(context, box, t1, span, palette);
  }

  // Bars that grow with every frame of the screen: over the painting, up to the edge.
  private drawOpen(context: CanvasRenderingContext2D, box: Box, t1: number, span: number, palette: Palette): void {
    const scale = box.height / Math.max(1, Math.round(this.laneRows * this.laneWorker.length));
    for (const { lane, group, start } of this.running(t1)) {
      const [top, bottom] = this.band(lane);
      const from = box.x + Math.max(0, 1 - (t1 - start) / span) * box.width;
      context.fillStyle = palette.groups[this.colourOf(group) % palette.groups.length]!;
      context.fillRect(from, box.y + top * scale, Math.max(1, box.x + box.width - from), (bottom - top) * scale);
    }
  }

  /** What began before `t1` and had not ended when the newest frame was made. */
  *running(t1: number): Generator<Hit> {
    const { count, start, lane, group, key } = this.open ?? NONE_OPEN;
    for (let i = 0; i < count; ++i) {
      if (start[i]! < t1 && lane[i]! < this.laneWorker.length) yield { group: group[i]!, lane: lane[i]!, start: start[i]!, end: t1, key: hex(key[i]!), open: true };
    }
  }

  /** What lies at a moment on a lane; `slack` µs to either side also counts. `t1`: the edge of what is shown. */
  hit(lane: number, t: number, slack: number, t1: number): Hit | null {
    let near: Hit | null = null;
    for (const run of this.running(t1)) if (run.lane === lane && run.start <= t && t <= t1) return run;
    for (let f = this.frames.length - 1; f >= 0; --f) {
      const { rects, columns, t0 } = this.frames[f]!;
      if (columns) {
        const i = Math.floor((t - t0) / columns.width);
        if (i < 0 || i >= columns.count) continue;
        const at = lane * columns.count + i;
        const start = t0 + i * columns.width;
        return columns.group[at] === IDLE ? null
          : { group: columns.group[at]!, lane, start, end: start + columns.width, busy: columns.busy[at]! / 255 };
      }
      for (let i = (rects?.count ?? 0) - 1; i >= 0; --i) {
        if (rects!.lane[i] !== lane || rects!.start[i]! > t + slack || rects!.end[i]! < t - slack) continue;
        const found = { group: rects!.group[i]!, lane, start: rects!.start[i]!, end: rects!.end[i]!, key: hex(rects!.key[i]!) };
        if (found.start <= t && t <= found.end) return found;
        near ??= found;
      }
    }
    return near;
  }

  /** Rectangles wide enough to be named, as boxes in a picture of that width. */
  *labels(t0: number, t1: number, width: number, least: number): Generator<{ group: number; lane: number; from: number; to: number }> {
    if (this.held > RECTS_NAMED_MAX) return;  // so many leave no room for names
    const scale = width / (t1 - t0);
    const place = (group: number, lane: number, start: number, end: number) =>
      ({ group, lane, from: Math.max(0, (start - t0) * scale), to: Math.min(width, (end - t0) * scale) });
    for (const { rects } of this.frames) {
      for (let i = 0; i < (rects?.count ?? 0); ++i) {
        const label = place(rects!.group[i]!, rects!.lane[i]!, rects!.start[i]!, rects!.end[i]!);
        if (label.to - label.from >= least) yield label;
      }
    }
    for (const { group, lane, start } of this.running(t1)) {
      const label = place(group, lane, start, t1);
      if (label.to - label.from >= least) yield label;
    }
  }

  get exact(): boolean { return this.frames.every(({ rects }) => rects !== null); }
  private get held(): number { return this.frames.reduce((sum, { rects }) => sum + (rects?.count ?? 0), 0); }
  get transfers(): number { return this.frames.reduce((sum, { transfers }) => sum + transfers.count, 0); }
  get empty(): boolean { return !this.open?.count && this.frames.every(({ rects, columns }) => !rects?.count && !columns?.busy.some((share) => share > 0)); }

  private ringFor(width: number, height: number, span: number, column: number, live: boolean, palette: Palette): Ring {
    const shape = `${width} ${height} ${span} ${palette.lane} ${live ? "live" : column}`;
    if (this.ring && this.shape === shape) return this.ring;
    this.shape = shape;
    this.laneRows = height / Math.max(1, this.laneWorker.length);
    this.laneColour = pixel(palette.lane);
    this.transferColour = pixel(palette.transfer);
    this.colours = Uint32Array.from(palette.groups, (colour) => pixel(colour));
    this.ring = new Ring(width, height, span / width, this.emptyRows(height, pixel(palette.surface)), live ? Infinity : column);
    this.ring.reach(column);
    for (const frame of this.frames) this.paint(this.ring, frame);
    return this.ring;
  }

  private emptyRows(height: number, gap: number): Uint32Array {
    const rows = new Uint32Array(height).fill(this.laneColour);
    for (let lane = 0; lane < this.laneWorker.length; ++lane) {
      const [, bottom] = this.band(lane);
      for (let y = bottom; y < Math.floor((lane + 1) * this.laneRows); ++y) rows[y] = gap;
    }
    return rows;
  }

  // Rows of a lane, without the gap below it.
  private band(lane: number): [top: number, bottom: number] {
    const top = Math.floor(lane * this.laneRows);
    const end = Math.max(top + 1, Math.floor((lane + 1) * this.laneRows));
    const gap = this.laneRows >= 12 ? 2 : this.laneRows >= 4 ? 1 : 0;
    return [top, end - gap];
  }

  private paint(ring: Ring, frame: Frame): void {
    if (frame.rects) this.paintRects(ring, frame.rects);
    if (frame.columns) this.paintColumns(ring, frame.t0, frame.columns);
    const { count, start, end, to } = frame.transfers;
    for (let i = 0; i < count; ++i) {
      const lane = this.laneWorker.indexOf(to[i]!);
      if (lane >= 0) this.paintTransfer(ring, lane, ring.columnOf(start[i]!), ring.columnOf(end[i]!) + 1);
    }
  }

  private paintRects(ring: Ring, { count, start, end, lane, group }: Rects): void {
    for (let i = 0; i < count; ++i) {
      if (lane[i]! >= this.laneWorker.length) continue;
      const from = ring.columnOf(start[i]!);
      const to = Math.max(from + 1, ring.columnOf(end[i]!));
      ring.reach(to - 1);
      const [top, bottom] = this.band(lane[i]!);
      ring.fill(from, to, top, bottom, this.colour(group[i]!));
      // A seam between neighbours of one colour, where there is room for it.
      if (to - from > 4) ring.fill(to - 1, to, top, bottom, this.laneColour);
    }
  }

  private paintColumns(ring: Ring, t0: number, { count, width, group, busy, transfer }: Columns): void {
    for (let lane = 0; lane < this.laneWorker.length; ++lane) {
      const [top, bottom] = this.band(lane);
      for (let i = 0; i < count; ++i) {
        const at = lane * count + i;
        const from = ring.columnOf(t0 + i * width);
        const to = Math.max(from + 1, ring.columnOf(t0 + (i + 1) * width));
        ring.reach(to - 1);
        ring.fill(from, to, top, bottom, this.laneColour);
        if (group[at] !== IDLE) ring.fill(from, to, bottom - Math.ceil(busy[at]! / 255 * (bottom - top)), bottom, this.colour(group[at]!));
        if (transfer[at]! > 0) this.paintTransfer(ring, lane, from, to);
      }
    }
  }

  private paintTransfer(ring: Ring, lane: number, from: number, to: number): void {
    const [top, bottom] = this.band(lane);
    ring.fill(from, Math.max(to, from + 1), Math.max(top, bottom - TRANSFER_ROWS), bottom, this.transferColour, true);
  }

  private colour(group: number): number { return this.colours[this.colourOf(group) % this.colours.length]!; }

  // Frames that ended before the window are of no more use; neither are more rectangles than a pointer can tell apart.
  private prune(t0: number): void {
    let held = this.held;
    while (this.frames.length > 1 && (this.frames[0]!.t1 < t0 || held > RECTS_HELD_MAX)) held -= this.frames.shift()!.rects?.count ?? 0;
  }
}

const NONE_OPEN: OpenRuns = { count: 0, start: new Float64Array(), lane: new Uint32Array(), group: new Uint32Array(), key: new BigUint64Array() };
const hex = (key: bigint): string => key.toString(16).padStart(16, "0");
