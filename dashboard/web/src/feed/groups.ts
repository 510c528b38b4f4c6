// The groups' colours, for whoever names a group: one subscription for the whole page.

import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import type { Groups } from "./types";
import { GROUP_COLOURS } from "../theme";
import { usePresent } from "./use";

const OTHER = 11;  // the grey of the palette
const colours = signal<Record<string, number>>({});
export { colours as groupColours };

/** Keeps the colours known; the shell calls it once. */
export function useGroupColours(): void {
  const { body } = usePresent<Groups>("groups");
  const known = Object.keys(body?.groups ?? {}).length;
  useEffect(() => {
    if (body) colours.value = apart(body.groups);
  }, [known]);
}

// The server's colour of a label is the same in every run, but two labels may share one. While there are free colours, the
// group that was seen later takes the next of them.
function apart(groups: Groups["groups"]): Record<string, number> {
  const taken = new Set<number>();
  return Object.fromEntries(Object.entries(groups).sort(([a], [b]) => Number(a) - Number(b)).map(([id, { colour }]) => {
    let chosen = colour % GROUP_COLOURS;
    for (let step = 0; step < GROUP_COLOURS && taken.has(chosen) && taken.size < GROUP_COLOURS; ++step) chosen = (chosen + 1) % GROUP_COLOURS;
    taken.add(chosen);
    return [id, chosen];
  }));
}

/** A number of the palette. */
export const groupColour = (id: string | number | undefined): number => (id === undefined ? OTHER : colours.value[id] ?? OTHER);
