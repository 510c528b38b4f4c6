// Numbers as people read them, always with their unit; every function takes "unknown" (null, undefined, NaN) and says "–".

import { hello } from "../feed/socket";

type Maybe = number | null | undefined;
const NONE = "–";
const known = (value: Maybe): value is number => typeof value === "number" && Number.isFinite(value);
const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** Three significant digits, but never fewer than the integer has. */
function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return grouped.format(value);
  return value.toFixed(size >= 10 ? 1 : 2);
}

export function count(value: Maybe): string { return known(value) ? grouped.format(value) : NONE; }

/** A count for a tight place: 1.25 M. */
export function short(value: Maybe): string {
  if (!known(value)) return NONE;
  const size = Math.abs(value);
  if (size >= 1e9) return `${digits(value / 1e9)} G`;
  if (size >= 1e6) return `${digits(value / 1e6)} M`;
  return size >= 1e4 ? `${digits(value / 1e3)} k` : digits(value);
}

/** "1 task", "2 tasks". */
export function plural(value: number, noun: string): string { return `${count(value)} ${noun}${value === 1 ? "" : "s"}`; }

export function bytes(value: Maybe): string {
  if (!known(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  let size = value;
  while (Math.abs(size) >= 1000 && unit + 1 < units.length) { size /= 1024; ++unit; }
  return `${unit === 0 ? grouped.format(size) : digits(size)} ${units[unit]}`;
}
export function bytesPerSecond(value: Maybe): string { return known(value) ? `${bytes(value)}/s` : NONE; }
export function perSecond(value: Maybe): string { return known(value) ? `${short(value)}/s` : NONE; }

export function seconds(value: Maybe): string {
  if (!known(value)) return NONE;
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 1e-6) return `${digits(value * 1e9)} ns`;
  if (size < 1e-3) return `${digits(value * 1e6)} µs`;
  if (size < 1) return `${digits(value * 1e3)} ms`;
  if (size < 60) return `${digits(value)} s`;
  if (size < 3600) return twoUnits(value, 60, "min", 1, "s");
  if (size < 86400) return twoUnits(value, 3600, "h", 60, "min");
  return twoUnits(value, 86400, "d", 3600, "h");
}
function twoUnits(value: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((value % large) / small);
  return `${Math.floor(value / large)} ${largeName}${rest ? ` ${rest} ${smallName}` : ""}`;
}
export const micros = (value: Maybe): string => seconds(known(value) ? value / 1e6 : null);
export function share(value: Maybe): string {
  if (!known(value)) return NONE;
  const percent = value * 100;
  if (percent > 0 && percent < 0.05) return "< 0.1 %";
  return `${percent > 0 && percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
}

/** The wall clock of a feed time, in the viewer's zone; with as many decimals as a step of `step` µs needs. */
export function clockTime(t: Maybe, step = 1e6): string {
  if (!known(t)) return NONE;
  const origin = hello.value?.origin_unix_us;
  if (origin === undefined) return micros(t);
  const wall = new Date((origin + t) / 1000);
  const time = wall.toLocaleTimeString("en-GB");
  const decimals = step >= 1e6 ? 0 : step >= 1e3 ? 3 : 6;
  if (decimals === 0) return time;
  const fraction = Math.floor((((origin + t) % 1e6) + 1e6) % 1e6);
  return `${time}.${String(fraction).padStart(6, "0").slice(0, decimals)}`;
}
export function dateTime(t: Maybe): string {
  const origin = hello.value?.origin_unix_us;
  if (!known(t) || origin === undefined) return known(t) ? micros(t) : NONE;
  const wall = new Date((origin + t) / 1000);
  return `${wall.toISOString().slice(0, 10)} ${wall.toLocaleTimeString("en-GB")}`;
}

/** A key in a tight place. The whole key is the title of what shows it. */
export const shortKey = (key: string): string => key.slice(0, 10);
