// Where the time of the slots went, in the window that the timeline shows.

import { cursor, span } from "../cursor";
import { withQuery } from "./http";
import type { Micros, TimeByGroup } from "./types";
import { useFeed } from "./use";

const HZ = 2;
const SECOND = 1e6;

export interface TimeShown {
  slots: number;
  all: Micros;              // of all slots together
  idle: Micros;
  within: Micros;           // no number is further from the truth
  groups: [id: string, label: string, time: Micros][];  // largest first
}

/** Null until it is known. */
export function useTimeShown(): TimeShown | null {
  const { body } = useFeed<TimeByGroup>(withQuery("timeline/time", { span: span.value }), HZ);
  if (!body) return null;
  const shown = body.columns ? ofWindow(body, cursor.value ?? body.t1, span.value) : body;
  const groups = Object.entries(shown.groups).map(([id, { label, run_s: time }]): [string, string, Micros] => [id, label, time * SECOND]);
  return {
    slots: body.slots, all: shown.slot_s * SECOND, idle: shown.idle_s * SECOND, within: shown.within_s * SECOND,
    groups: groups.sort((a, b) => b[2] - a[2]),
  };
}

// A report has the sums over columns of time; of the two at the ends of a window only a share counts.
function ofWindow(body: TimeByGroup, t1: Micros, width: Micros): TimeByGroup {
  const t0 = Math.max(body.t0, t1 - width);
  if (t0 <= body.t0 && t1 >= body.t1) return body;
  const columns = body.columns!;
  const share = (column: number): number => {
    const [from, to] = [Math.max(body.t0, column * columns.width), Math.min(body.t1, (column + 1) * columns.width)];
    return Math.max(0, Math.min(t1, to) - Math.max(t0, from)) / Math.max(1, to - from);
  };
  let [slots, busy, within] = [0, 0, 0];
  columns.slot_s.forEach((seconds, i) => { slots += seconds * share(columns.first + i); });
  const groups: TimeByGroup["groups"] = {};
  for (const [id, list] of Object.entries(columns.groups)) {
    let time = 0;
    for (let i = 0; i < list.length; i += 2) {
      const [part, seconds] = [share(list[i]!), list[i + 1]!];
      time += part * seconds;
      if (part > 0 && part < 1) within += Math.max(part, 1 - part) * seconds;
    }
    if (time > 0) groups[id] = { label: body.groups[id]?.label ?? `group ${id}`, run_s: time };
    busy += time;
  }
  return { ...body, t0, t1, slot_s: slots, busy_s: busy, idle_s: Math.max(0, slots - busy), within_s: body.within_s + within, groups };
}
