// A list in the order of time that grows: the newest lines at the cursor, then each that is added.

import { useEffect, useState } from "preact/hooks";
import { cursor } from "../cursor";
import { FeedError, getJson, withQuery } from "./http";
import { isReport } from "./report";
import { subscribe } from "./socket";

const HZ = 4;
const HELD_MAX = 5000;

/** `list` is the body's field that holds the list. */
export function useList<Item extends { t: number }>(path: string, list: string): { items: Item[] | null; error: FeedError | null } {
  const [items, setItems] = useState<Item[] | null>(null);
  const [error, setError] = useState<FeedError | null>(null);
  const at = cursor.value;
  useEffect(() => {
    const take = (body: unknown) => {
      const all = (body as Record<string, Item[]>)[list] ?? [];
      setItems(isReport && at !== null ? all.filter(({ t }) => t <= at) : all);  // a report holds all time
      setError(null);
    };
    if (at === null && !isReport) {
      return subscribe(path, HZ, {
        body: take, error: setError,
        append: (more) => setItems((held) => [...(held ?? []), ...(more as Item[])].slice(-HELD_MAX)),
      });
    }
    const abort = new AbortController();
    getJson(withQuery(path, at === null ? {} : { t0: 0, t1: at }), abort.signal).then(take, (problem) => {
      if (problem instanceof FeedError) setError(problem);
    });
    return () => abort.abort();
  }, [path, list, at]);
  return { items, error };
}
