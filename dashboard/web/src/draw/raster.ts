// A group as a picture of one pixel a task, in the order the tasks were first seen. A byte indexes a table of 256 colours,
// so a million tasks take a few milliseconds.

import { pixel, type Palette } from "../theme";

export const RASTER_STATES = ["released", "waiting", "ready", "assigned", "stored", "failed", "forgotten"] as const;
const STATE_BITS = 7;
const RUNNING = 8;
const REPEATED = 16;

export interface RasterCounts { states: Record<string, number>; running: number; repeated: number }

export function countTasks(tasks: Uint8Array): RasterCounts {
  const of = new Uint32Array(256);
  for (const task of tasks) ++of[task]!;
  const counts: RasterCounts = { states: {}, running: 0, repeated: 0 };
  of.forEach((n, byte) => {
    const state = RASTER_STATES[byte & STATE_BITS];
    if (state && n) counts.states[state] = (counts.states[state] ?? 0) + n;
    if (byte & RUNNING) counts.running += n;
    if (byte & REPEATED) counts.repeated += n;
  });
  return counts;
}

/** How many tasks stand in a row, so that the picture fills a place of that shape. */
export function columnsFor(tasks: number, width: number, height: number): number {
  return Math.max(1, Math.min(Math.max(tasks, 1), Math.ceil(Math.sqrt(tasks * width / height))));
}

export function paintRaster(canvas: HTMLCanvasElement, tasks: Uint8Array, columns: number, palette: Palette): void {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    const state = byte & RUNNING ? "running" : RASTER_STATES[byte & STATE_BITS] ?? "forgotten";
    return pixel(palette.states[state]!);
  });
  const rows = Math.max(1, Math.ceil(tasks.length / columns));
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < tasks.length; ++i) pixels[i] = table[tasks[i]!]!;
  context.putImageData(image, 0, 0);
}
