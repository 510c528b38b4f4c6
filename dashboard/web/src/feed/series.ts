// Numbers over time, for the charts: a window that ends at the cursor.

import { cursor, edge, span } from "../cursor";
import { isReport } from "./report";
import { withQuery } from "./http";
import { useAsked, type Feed } from "./use";
import type { Series, WorkerSeries } from "./types";

const EVERY_MS = 1000;
const PX = 400;

export function useSeries(names: string[]): Feed<Series> {
  const answer = useAsked<Series>(path(names, "cluster"), EVERY_MS);
  return { ...answer, body: answer.body && inWindow(answer.body, (line, cut) => cut(line)) };
}
export function useWorkerSeries(names: string[]): Feed<WorkerSeries> {
  const answer = useAsked<WorkerSeries>(path(names, "worker"), EVERY_MS);
  return { ...answer, body: answer.body && inWindow(answer.body, (lines, cut) => Object.fromEntries(Object.entries(lines).map(([name, line]) => [name, cut(line)]))) };
}

type Line = (number | null)[];

// A report holds all time, whatever was asked for.
function inWindow<Rows>(body: { t: number[]; series: Record<string, Rows> }, of: (rows: Rows, cut: (line: Line) => Line) => Rows): typeof body {
  if (!isReport) return body;
  const t1 = cursor.value ?? edge();
  const inside = body.t.map((t) => t > t1 - span.value && t <= t1);
  const cut = <Value>(line: Value[]): Value[] => line.filter((_, i) => inside[i]);
  return { ...body, t: cut(body.t), series: Object.fromEntries(Object.entries(body.series).map(([name, rows]) => [name, of(rows, cut)])) };
}

// While it follows, the window's left edge moves in whole tenths of the span, so that most questions are equal and a
// chart does not ask at every frame.
function path(names: string[], by: string): string {
  const step = span.value / 10;
  const t0 = Math.max(0, cursor.value === null ? Math.floor((edge() - span.value) / step) * step : cursor.value - span.value);
  return withQuery("series", { names: names.join(","), by, px: PX, t0: Math.round(t0), t1: cursor.value });
}
