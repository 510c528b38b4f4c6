// The groups' colours, for whoever names a group: one subscription for the whole page.

import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import type { Groups } from "./types";
import { useFeed } from "./use";

const OTHER = 11;  // the grey of the palette
const colours = signal<Record<string, number>>({});

/** Keeps the colours known; the shell calls it once. */
export function useGroupColours(): void {
  const { body } = useFeed<Groups>("groups");
  const known = Object.keys(body?.groups ?? {}).length;
  useEffect(() => {
    if (body) colours.value = Object.fromEntries(Object.entries(body.groups).map(([id, { colour }]) => [id, colour]));
  }, [known]);
}

/** A number of the palette. */
export const groupColour = (id: string | number | undefined): number => (id === undefined ? OTHER : colours.value[id] ?? OTHER) % 12;
export { colours as groupColours };
