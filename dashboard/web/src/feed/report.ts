// A saved report carries its bodies inside the page (feed.md, section 5): no server, no socket. Of some it has moments of the past.

import { mergePatch } from "./patch";

interface Moments { t: number[]; first: unknown; patches: unknown[]; bodies?: unknown[] }

const element = document.getElementById("weft-report");
const bodies = new Map<string, unknown>();
const moments = new Map<string, Moments>();
if (element) {
  const { moments: past, ...present } = JSON.parse(element.textContent ?? "{}") as { moments?: Record<string, Moments> };
  for (const [path, body] of Object.entries(present)) bodies.set(canonical(path), body);
  for (const [path, held] of Object.entries(past ?? {})) moments.set(canonical(path), held);
}

export const isReport = element !== null;

/** The body of a path, whatever sizes and limits it asks for: at `t1` where there are moments of it, else at the end. */
export function reportBody(path: string): unknown {
  return momentOf(path) ?? bodies.get(canonical(path)) ?? oneOf("workers", path) ?? oneOf("tasks", path);
}

// The last moment that is not later.
function momentOf(path: string): unknown {
  const held = moments.get(canonical(path));
  const t1 = new URLSearchParams(path.split("?")[1]).get("t1");
  const end = (bodies.get("overview?") as { t1?: number } | undefined)?.t1 ?? 0;
  if (!held || t1 === null || Number(t1) >= end) return undefined;
  held.bodies ??= held.patches.reduce<unknown[]>((all, patch) => [...all, mergePatch(all.at(-1), patch)], [held.first]);
  return held.bodies[Math.max(0, held.t.findLastIndex((t) => t <= Number(t1)))];
}

// One worker or task, from the list that has it.
function oneOf(list: "workers" | "tasks", path: string): unknown {
  const [resource, name, more] = path.split("/");
  if (resource !== list || name === undefined || more !== undefined) return undefined;
  const body = reportBody(path.replace(/^[^?]*/, list)) as Record<string, Record<string, { name?: string; key?: string }>> | undefined;
  const row = Object.entries(body?.[list] ?? {}).find(([id, { name: held }]) => id === name || held === decodeURIComponent(name));
  if (!row) return undefined;
  return list === "tasks" ? { ...body, task: row[1] } : { ...body, workers: Object.fromEntries([row]), tasks: {} };
}

export function reportBytes(path: string): ArrayBuffer | null {
  const body = reportBody(path) as { base64?: string } | undefined;
  if (typeof body?.base64 !== "string") return null;
  return Uint8Array.from(atob(body.base64), (c) => c.charCodeAt(0)).buffer;
}

function canonical(path: string): string {
  const [name = "", query = ""] = path.replace(/^\/?(api\/v1\/)?/, "").split("?");
  const fields = new URLSearchParams(query);
  for (const field of ["t0", "t1", "px", "lanes", "limit", "names"]) fields.delete(field);
  if (name === "progress") fields.delete("label");        // and so are all labels
  if (name === "timeline/time") fields.delete("span");  // the columns of all time are there
  if (fields.get("by") === (name === "memory" ? "worker" : "cluster")) fields.delete("by");  // as when it is left out
  fields.sort();
  return `${name}?${fields}`;
}
