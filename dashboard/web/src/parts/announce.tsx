// The status line that screen readers hear: at most one sentence in five seconds, the newest one.

import { signal } from "@preact/signals";

const EVERY_MS = 5000;
const spoken = signal("");
let waiting: string | null = null;
let timer: ReturnType<typeof setTimeout> | null = null;

export function announce(text: string): void {
  if (timer) { waiting = text; return; }
  spoken.value = text;
  timer = setTimeout(() => {
    timer = null;
    if (waiting !== null && waiting !== spoken.peek()) announce(waiting);
    waiting = null;
  }, EVERY_MS);
}

export function Announcer() { return <div class="visually-hidden" role="status" aria-live="polite">{spoken.value}</div>; }
