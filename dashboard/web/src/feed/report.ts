// A saved report carries its bodies inside the page (feed.md, section 5): no server, no socket, one moment in time.

const element = document.getElementById("weft-report");
const bodies = new Map<string, unknown>();
if (element) {
  for (const [path, body] of Object.entries(JSON.parse(element.textContent ?? "{}"))) bodies.set(canonical(path), body);
}

export const isReport = element !== null;

/** The body of a path, whatever times, sizes and limits it asks for. */
export function reportBody(path: string): unknown {
  return bodies.get(canonical(path)) ?? oneOf("workers", path) ?? oneOf("tasks", path);
}

// One worker or task, from the list that has it.
function oneOf(list: "workers" | "tasks", path: string): unknown {
  const [resource, name, more] = path.split("/");
  if (resource !== list || name === undefined || more !== undefined) return undefined;
  const body = bodies.get(`${list}?`) as Record<string, Record<string, { name?: string; key?: string }>> | undefined;
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
  if (fields.get("by") === (name === "memory" ? "worker" : "cluster")) fields.delete("by");  // as when it is left out
  fields.sort();
  return `${name}?${fields}`;
}
