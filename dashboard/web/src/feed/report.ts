// A saved report carries its bodies inside the page (feed.md, section 5): no server, no socket, one moment in time.

const element = document.getElementById("weft-report");
const bodies = new Map<string, unknown>();
if (element) {
  for (const [path, body] of Object.entries(JSON.parse(element.textContent ?? "{}"))) bodies.set(canonical(path), body);
}

export const isReport = element !== null;

/** The body of a path, whatever times, sizes and limits it asks for. */
export function reportBody(path: string): unknown { return bodies.get(canonical(path)); }

export function reportBytes(path: string): ArrayBuffer | null {
  const body = reportBody(path) as { base64?: string } | undefined;
  if (typeof body?.base64 !== "string") return null;
  return Uint8Array.from(atob(body.base64), (c) => c.charCodeAt(0)).buffer;
}

function canonical(path: string): string {
  const [name = "", query = ""] = path.replace(/^\/?(api\/v1\/)?/, "").split("?");
  const fields = new URLSearchParams(query);
  for (const field of ["t0", "t1", "px", "lanes", "limit"]) fields.delete(field);
  fields.sort();
  return `${name}?${fields}`;
}
