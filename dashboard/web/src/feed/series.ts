// Numbers over time, for the charts: a window that ends at the cursor.

import { cursor, edge, span } from "../cursor";
import { withQuery } from "./http";
import { useAsked, type Feed } from "./use";
import type { Series, WorkerSeries } from "./types";

const EVERY_MS = 1000;
const PX = 400;

export function useSeries(names: string[]): Feed<Series> { return useAsked<Series>(path(names, "cluster"), EVERY_MS); }
export function useWorkerSeries(names: string[]): Feed<WorkerSeries> {
  return useAsked<WorkerSeries>(path(names, "worker"), EVERY_MS);
}

// While it follows, the window's left edge moves in whole tenths of the span, so that most questions are equal and a
// chart does not ask at every frame.
function path(names: string[], by: string): string {
  const step = span.value / 10;
  const t0 = Math.max(0, cursor.value === null ? Math.floor((edge() - span.value) / step) * step : cursor.value - span.value);
  return withQuery("series", { names: names.join(","), by, px: PX, t0: Math.round(t0), t1: cursor.value });
}
