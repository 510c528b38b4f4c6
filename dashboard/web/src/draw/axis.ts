// A time axis: round steps of the wall clock, as many as have room.

import { rem, type Surface } from "../parts/canvas";
import { hello } from "../feed/socket";
import { clockTime } from "../parts/format";
import type { Palette } from "../theme";
import type { Box } from "./lanes";

const TICK_WIDTH = 92;
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 1.5e7, 3e7, 6e7,
  1.2e8, 3e8, 6e8, 9e8, 1.8e9, 3.6e9, 7.2e9, 2.16e10, 4.32e10, 8.64e10];

export function drawAxis({ context }: Surface, box: Box, t0: number, t1: number, palette: Palette): void {
  const least = (t1 - t0) * TICK_WIDTH * rem() / box.width;
  const step = STEPS.find((candidate) => candidate >= least) ?? STEPS.at(-1)!;
  const shift = (hello.peek()?.origin_unix_us ?? 0) % step;  // round on the wall clock, not on the feed's
  for (let t = Math.ceil((t0 + shift) / step) * step - shift; t <= t1; t += step) {
    const x = box.x + (t - t0) / (t1 - t0) * box.width;
    context.fillStyle = palette.line;
    context.fillRect(x, box.y - 6, 1, 6);
    context.globalAlpha = 0.5;
    context.fillRect(x, box.y, 1, box.height);
    context.globalAlpha = 1;
    const text = clockTime(t, step);
    if (x + context.measureText(text).width + 4 > box.x + box.width) continue;
    context.fillStyle = palette.dim;
    context.fillText(text, x + 4, box.y - 12);
  }
}
