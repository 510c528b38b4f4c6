// Lines over time: values up, time across, round ticks on both. Each line has its own dash, so that colour is not all
// that tells them apart. (uPlot does more, and would be a third of all the bytes that the page may have.)

import { rem, type Surface } from "../parts/canvas";
import type { Palette } from "../theme";
import { drawAxis } from "./axis";
import type { Box } from "./lanes";

export interface Line { name: string; fill: "managed" | "spilled" | "unmanaged" | "accent"; values: (number | null)[] }
export interface Scale { box: Box; t0: number; t1: number; top: number }

const DASHES = [[], [6, 3], [2, 3]];
const AXIS_HEIGHT = 20;
const GUTTER = 66;
const ROW_MIN = 34;
const HEADROOM = 1.08;
const EMPTY_TOP = 1e-9;  // of a chart with nothing but zeros, which has one tick

/** The box and the ranges of a chart in a place of that size. */
export function scaleOf(width: number, height: number, t: number[], lines: Line[], max?: number): Scale {
  const gutter = GUTTER * rem();
  const largest = Math.max(0, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0)));
  return {
    box: { x: gutter, y: AXIS_HEIGHT, width: Math.max(1, width - gutter), height: height - AXIS_HEIGHT - 6 },
    t0: t[0] ?? 0, t1: Math.max(t.at(-1) ?? 1, (t[0] ?? 0) + 1), top: max ?? Math.max(largest * HEADROOM, EMPTY_TOP),
  };
}

/** Draws all lines; `binary` puts the ticks at powers of 1024. */
export function drawLines(surface: Surface, scale: Scale, t: number[], lines: Line[], palette: Palette,
                          unit: (value: number) => string, binary: boolean): void {
  const { context } = surface;
  const { box, t0, t1, top } = scale;
  const x = (time: number) => box.x + (time - t0) / (t1 - t0) * box.width;
  const y = (value: number) => box.y + (1 - Math.min(1, value / top)) * box.height;
  context.textAlign = "right";
  const step = top < EMPTY_TOP * 2 ? top * 2 : niceStep(top, Math.max(1, Math.floor(box.height / ROW_MIN)), binary);
  for (let value = 0; value <= top * 1.0001; value += step) {
    context.fillStyle = palette.line;
    context.fillRect(box.x, Math.round(y(value)), box.width, 1);
    context.fillStyle = palette.dim;
    context.fillText(unit(value), box.x - 8, Math.max(box.y, y(value)));
  }
  context.textAlign = "left";
  drawAxis(surface, box, t0, t1, palette);
  lines.forEach((line, i) => drawLine(context, line, t, x, y, palette[line.fill], i, box.y + box.height));
}

function drawLine(context: CanvasRenderingContext2D, { values }: Line, t: number[], x: (t: number) => number, y: (value: number) => number,
                  colour: string, number: number, floor: number): void {
  const path = new Path2D();
  let open = false;
  values.forEach((value, i) => {
    if (value === null || value === undefined) { open = false; return; }
    if (open) path.lineTo(x(t[i]!), y(value));
    else path.moveTo(x(t[i]!), y(value));
    open = true;
  });
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.setLineDash(DASHES[number % DASHES.length]!);
  context.stroke(path);
  context.setLineDash([]);
  if (number > 0 || values.includes(null)) return;
  path.lineTo(x(t.at(-1)!), floor);
  path.lineTo(x(t[0]!), floor);
  context.globalAlpha = 0.13;
  context.fillStyle = colour;
  context.fill(path);
  context.globalAlpha = 1;
}

/** The smallest round step that cuts `top` into at most `rows`. */
function niceStep(top: number, rows: number, binary: boolean): number {
  const least = top / rows;
  const base = binary ? 1024 : 10;
  const power = base ** Math.floor(Math.log(least) / Math.log(base));
  const factors = binary ? [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] : [1, 2, 5, 10];
  return power * (factors.find((factor) => factor * power >= least) ?? base);
}
