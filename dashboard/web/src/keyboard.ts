// Every shortcut in one table: the help shows it, and one listener obeys it. They can be switched off (WCAG 2.1.4).

import { effect, signal } from "@preact/signals";
import { cursor, follow, following, pan, seek, toggleFollow, zoom, edge } from "./cursor";
import { remember, remembered } from "./memory";
import { go, route } from "./router";
import { toggleTheme } from "./theme";
import { getJson, withQuery } from "./feed/http";
import type { Events } from "./feed/types";
import { PAGES } from "./pages";

export const helpOpen = signal(false);
export const searchOpen = signal(false);
export const shortcutsOn = signal(remembered("shortcuts", "on") === "on");
effect(() => remember("shortcuts", shortcutsOn.value ? "on" : "off"));

const ZOOM_STEP = 0.5;
const GO_MS = 1500;

interface Shortcut { keys: string[]; shown: string; does: string; run(): void }
export const SHORTCUTS: Shortcut[] = [
  { keys: ["?"], shown: "?", does: "This help", run: () => { helpOpen.value = true; } },
  { keys: ["/"], shown: "/", does: "Search", run: () => { searchOpen.value = true; } },
  { keys: [" "], shown: "space", does: "Follow or pause", run: toggleFollow },
  { keys: ["ArrowLeft"], shown: "←", does: "Earlier", run: () => pan(-1) },
  { keys: ["ArrowRight"], shown: "→", does: "Later", run: () => pan(1) },
  { keys: ["+", "="], shown: "+", does: "Show less time", run: () => zoom(ZOOM_STEP) },
  { keys: ["-"], shown: "−", does: "Show more time", run: () => zoom(1 / ZOOM_STEP) },
  { keys: ["["], shown: "[", does: "Event before", run: () => void step(-1) },
  { keys: ["]"], shown: "]", does: "Event after", run: () => void step(1) },
  { keys: ["e"], shown: "e", does: "Explain this task", run: explain },
  { keys: ["d"], shown: "d", does: "Dark or light", run: toggleTheme },
  { keys: ["Escape"], shown: "Esc", does: "Close, or follow again", run: () => { if (!following.peek()) follow(); } },
];

let goPressedAt = -Infinity;

export function listenToKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (!shortcutsOn.value && event.key !== "Escape") return;
    if (wanted(event) && obey(event)) event.preventDefault();
  });
}

// What types, chooses, scrolls or presses keeps its own keys.
function wanted(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement;
  if (target.closest("input, select, textarea")) return false;
  if (event.key === " ") return !target.closest("button, a, summary, [role=slider]");
  if (event.key.startsWith("Arrow")) return !target.closest("[role=slider], [tabindex='0']");
  return true;
}

function obey(event: KeyboardEvent): boolean {
  if (performance.now() - goPressedAt < GO_MS) {
    goPressedAt = -Infinity;
    const page = PAGES.find(({ letter }) => letter === event.key);
    if (page) go(page.id);
    return page !== undefined;
  }
  if (event.key === "g") {
    goPressedAt = performance.now();
    return true;
  }
  const shortcut = SHORTCUTS.find(({ keys }) => keys.includes(event.key));
  shortcut?.run();
  return shortcut !== undefined;
}

function explain(): void {
  const { page, id } = route.peek();
  if (page === "tasks" && id) document.getElementById("explain")?.focus();
}

// The answer may be late: whoever has moved the time since is right.
async function step(direction: 1 | -1): Promise<void> {
  const asked = cursor.peek();
  const at = Math.round(edge());
  const range = direction < 0 ? { t1: Math.max(0, at - 1) } : { t0: at };
  const { events } = await getJson<Events>(withQuery("events", { ...range, limit: 1000 })).catch(() => ({ events: [] }));
  const ordered = events.map(({ t }) => t).sort((a, b) => a - b);
  const next = direction < 0 ? ordered.findLast((t) => t < at) : ordered.find((t) => t > at);
  if (next !== undefined && cursor.peek() === asked) seek(next);
}
