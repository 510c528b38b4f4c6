// What a page calls: a body at the time cursor, kept fresh.

import { useEffect, useMemo } from "preact/hooks";
import { signal } from "@preact/signals";
import { cursor } from "../cursor";
import { Asker } from "./asker";
import { getJson, withQuery, type FeedError } from "./http";
import { link, subscribe } from "./socket";
import { isReport } from "./report";

export interface Feed<T> { body: T | null; error: FeedError | null; t: number }
const NOTHING: Feed<never> = { body: null, error: null, t: 0 };

/** The body of a resource at the cursor: subscribed while it follows the present, asked for in the past. */
export function useFeed<T>(path: string | null, hz = 2): Feed<T> { return useBody(path, hz, cursor.value); }

/** The present body, wherever the cursor is: names and colours are the same at any time, and who scrubs need not wait for them. */
export function usePresent<T>(path: string, hz = 2): Feed<T> { return useBody(path, hz, null); }

function useBody<T>(path: string | null, hz: number, at: number | null): Feed<T> {
  const { state, asker } = useAnswer<T>(path);
  useEffect(() => {
    if (path === null) return;
    if (at !== null || isReport) return asker.ask(at === null ? path : withQuery(path, { t1: at }));
    asker.stop();
    return subscribe(path, hz, {
      body: (body, t) => { state.value = { body: body as T, error: null, t }; },
      error: (error) => { state.value = { ...state.peek(), error }; },
    });
  }, [path, at, hz]);
  return state.value;
}

/** The body of a resource that is asked for, not subscribed to; again every `everyMs` while it follows the present. */
export function useAsked<T>(path: string | null, everyMs = 0): Feed<T> {
  const { state, asker } = useAnswer<T>(path?.split("?")[0] ?? null);
  useEffect(() => { if (path !== null) asker.ask(path); }, [path]);
  // A cursor that moves changes only the paths that name it.
  const follows = everyMs > 0 && cursor.value === null && link.value === "open";
  useEffect(() => {
    if (path === null || !follows) return;
    const timer = setInterval(() => { if (!document.hidden) asker.ask(path); }, everyMs);
    return () => clearInterval(timer);
  }, [path, follows, everyMs]);
  return state.value;
}

/** What is shown of one thing, and who asks for it; both end with `what`. */
function useAnswer<T>(what: string | null) {
  const answer = useMemo(() => {
    const state = signal<Feed<T>>(NOTHING);
    const asker = new Asker<T>(getJson,
      (body) => { state.value = { body, error: null, t: (body as { t1?: number }).t1 ?? 0 }; },
      (error) => { state.value = { ...state.peek(), error }; });
    return { state, asker };
  }, [what]);
  useEffect(() => () => answer.asker.stop(), [answer]);
  return answer;
}
