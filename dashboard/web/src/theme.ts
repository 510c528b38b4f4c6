// Dark or light, and the colours of what is drawn on canvases: read from the style sheet, so that there is one palette.

import { computed, effect, signal } from "@preact/signals";
import { remember, remembered } from "./memory";

export type Theme = "dark" | "light";
export const GROUP_COLOURS = 12;

const systemDark = matchMedia("(prefers-color-scheme: dark)");
const system = signal<Theme>(systemDark.matches ? "dark" : "light");
systemDark.onchange = () => { system.value = systemDark.matches ? "dark" : "light"; };

/** What the person chose; "system" follows the system. */
export const themeChoice = signal(remembered("theme", "system"));
export const theme = computed<Theme>(() => (themeChoice.value === "system" ? system.value : (themeChoice.value as Theme)));
effect(() => {
  document.documentElement.dataset.theme = theme.value;
  remember("theme", themeChoice.value);
});

export function toggleTheme(): void { themeChoice.value = theme.peek() === "dark" ? "light" : "dark"; }

export interface Palette {
  surface: string; lane: string; line: string; text: string; dim: string; accent: string; onColour: string;
  groups: string[]; states: Record<string, string>; transfer: string; heat: string;
  managed: string; spilled: string; unmanaged: string;
}

/** The palette of the present theme. */
export const palette = computed<Palette>(() => {
  document.documentElement.dataset.theme = theme.value;  // before the styles are read, whoever runs first
  const styles = getComputedStyle(document.documentElement);
  const read = (name: string) => styles.getPropertyValue(`--${name}`).trim();
  const states = ["released", "waiting", "ready", "assigned", "stored", "failed", "forgotten", "running"];
  return {
    surface: read("surface"), lane: read("lane"), line: read("line"), text: read("text"), dim: read("dim"),
    accent: read("accent"), onColour: read("on-colour"), transfer: read("transfer"), heat: read("heat"),
    managed: read("managed"), spilled: read("spilled"), unmanaged: read("unmanaged"),
    groups: Array.from({ length: GROUP_COLOURS }, (_, i) => read(`group-${i}`)),
    states: Object.fromEntries(states.map((name) => [name, read(`state-${name}`)])),
  };
});

/** A #rrggbb colour as one pixel of ImageData's bytes (little endian, opaque). */
export function pixel(colour: string, alpha = 255): number {
  const rgb = parseInt(colour.slice(1), 16);
  return ((alpha << 24) | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
}

export const calm = matchMedia("(prefers-reduced-motion: reduce)");
