// The one time cursor: every page shows the moment it points at, live or past.

import { computed, signal } from "@preact/signals";
import { heard, hello, link } from "./feed/socket";
import { isReport } from "./feed/report";

/** The moment shown, µs; null follows the present. */
export const cursor = signal<number | null>(null);
/** How much time the timeline and the charts show, µs. */
export const span = signal(60e6);
/** The present, refreshed a few times a second; what must be smooth calls present() itself. */
export const clock = signal(0);
export const following = computed(() => cursor.value === null);

const SPAN_MIN = 1e3;
const SPAN_MAX = 7 * 86400e6;
const STEP_OF_SPAN = 0.1;
const CLOCK_MS = 250;

/** The feed's present time, µs. It stands still while the link is down, in a history and in a report. */
export function present(): number {
  const moving = link.peek() === "open" && hello.peek()?.mode === "live";
  return heard.t + (moving ? (performance.now() - heard.at) * 1000 : 0);
}

/** The right edge of what is shown. */
export const edge = (): number => cursor.peek() ?? present();

export function follow(): void { cursor.value = null; }
export function toggleFollow(): void { cursor.value = cursor.peek() === null ? present() : null; }

export function seek(t: number): void {
  cursor.value = Math.round(Math.min(Math.max(t, 0), present()));
}
export function pan(steps: number): void { seek(edge() + steps * span.peek() * STEP_OF_SPAN); }

/** Narrows (factor < 1) or widens what is shown; `at` stays where it is on the screen. */
export function zoom(factor: number, at?: number): void {
  const before = span.peek();
  span.value = Math.round(Math.min(Math.max(before * factor, SPAN_MIN), SPAN_MAX));
  if (at !== undefined && cursor.peek() !== null) seek(at + (edge() - at) * (span.peek() / before));
}

if (!isReport) setInterval(() => { if (!document.hidden) clock.value = present(); }, CLOCK_MS);
