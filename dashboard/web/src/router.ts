// Which page, from the part of the address after '#': it works under any prefix, in a saved report and offline.

import { signal } from "@preact/signals";
import { isReport } from "./feed/report";

export interface Route { page: string; id: string; query: URLSearchParams }

// "/timeline" is the page as well (feed.md, section 5), and a link that people write by hand.
if (!isReport && !location.hash && !location.pathname.endsWith("/")) history.replaceState(null, "", `./#/${location.pathname.split("/").pop()}`);

// Other words that links and people use.
const ALIASES: Record<string, string> = { "": "overview", errors: "events", task: "tasks", worker: "workers" };

export const route = signal<Route>(read());
addEventListener("hashchange", () => { route.value = read(); });

export function go(address: string): void { location.hash = address.replace(/^#/, ""); }

/** The address of a page, or of one thing on it. */
export function address(page: string, id?: string | number | null, query?: Record<string, string>): string {
  const path = `#/${page}${id === undefined || id === null ? "" : `/${encodeURIComponent(id)}`}`;
  return query ? `${path}?${new URLSearchParams(query)}` : path;
}

function read(): Route {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page = "", id = ""] = path.split("/");
  return { page: ALIASES[page] ?? page, id: decoded(id), query: new URLSearchParams(query) };
}

function decoded(text: string): string {
  try { return decodeURIComponent(text); } catch { return text; }
}
