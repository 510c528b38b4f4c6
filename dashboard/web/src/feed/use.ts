// What a page calls: a body at the time cursor, kept fresh.

import { useEffect, useMemo } from "preact/hooks";
import { signal } from "@preact/signals";
import { cursor } from "../cursor";
import { FeedError, getJson, withQuery } from "./http";
import { link, subscribe } from "./socket";
import { isReport } from "./report";

export interface Feed<T> { body: T | null; error: FeedError | null; t: number }
const NOTHING: Feed<never> = { body: null, error: null, t: 0 };
const SCRUB_MS = 60;

/** The body of a resource at the cursor: subscribed while it follows the present, asked for once in the past. */
export function useFeed<T>(path: string | null, hz = 2): Feed<T> {
  const state = useMemo(() => signal<Feed<T>>(NOTHING), [path]);
  const at = cursor.value;
  useEffect(() => {
    if (path === null) return;
    if (at !== null || isReport) return askOnce(at === null ? path : withQuery(path, { t1: at }), state, SCRUB_MS);
    return subscribe(path, hz, {
      body: (body, t) => { state.value = { body: body as T, error: null, t }; },
      error: (error) => { state.value = { ...state.peek(), error }; },
    });
  }, [path, at, hz]);
  return state.value;
}

/** The body of a resource that is asked for, not subscribed to; again every `everyMs` while it follows the present. */
export function useAsked<T>(path: string | null, everyMs = 0): Feed<T> {
  const family = path?.split("?")[0] ?? null;
  const state = useMemo(() => signal<Feed<T>>(NOTHING), [family]);
  const at = cursor.value;
  const open = link.value === "open";
  useEffect(() => {
    if (path === null) return;
    let end = askOnce(path, state, SCRUB_MS);
    if (!everyMs || at !== null || !open) return () => end();
    const timer = setInterval(() => {
      if (document.hidden) return;
      end();
      end = askOnce(path, state, 0);
    }, everyMs);
    return () => { clearInterval(timer); end(); };
  }, [path, at, open, everyMs]);
  return state.value;
}

function askOnce<T>(path: string, state: { value: Feed<T>; peek(): Feed<T> }, delayMs: number): () => void {
  const abort = new AbortController();
  const timer = setTimeout(async () => {
    try {
      const body = await getJson<T>(path, abort.signal);
      if (!abort.signal.aborted) state.value = { body, error: null, t: (body as { t1?: number }).t1 ?? 0 };
    } catch (error) {
      if (error instanceof FeedError) state.value = { ...state.peek(), error };
      else if ((error as Error).name !== "AbortError") throw error;
    }
  }, delayMs);
  return () => { clearTimeout(timer); abort.abort(); };
}
