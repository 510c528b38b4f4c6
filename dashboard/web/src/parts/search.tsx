// Search everything by a few letters: pages, groups, workers, and tasks by key or label.

import { useState } from "preact/hooks";
import { searchOpen } from "../keyboard";
import { useAsked, useFeed } from "../feed/use";
import { withQuery } from "../feed/http";
import type { Groups, Tasks, Workers } from "../feed/types";
import { PAGES } from "../pages";
import { address, go } from "../router";
import { useDialog } from "./help";
import { shortKey } from "./format";

interface Hit { href: string; text: string; kind: string }
const HITS_MAX = 30;

export function Search() {
  const dialog = useDialog(searchOpen);
  return (
    <dialog ref={dialog} class="search" aria-label="Search" onClose={() => { searchOpen.value = false; }}>
      {searchOpen.value && <Finder />}
    </dialog>
  );
}

function Finder() {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const hits = useHits(text.trim());
  const selected = Math.min(chosen, hits.length - 1);
  const open = (hit?: Hit) => {
    if (!hit) return;
    searchOpen.value = false;
    go(hit.href);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) setChosen(Math.min(Math.max(selected + step, 0), hits.length - 1));
    else if (event.key === "Enter") open(hits[selected]);
    else return;
    event.preventDefault();
  };
  return (
    <>
      <input type="text" role="combobox" autoFocus autocomplete="off" placeholder="A label, the first digits of a key, a worker, a page" aria-label="Search"
        aria-expanded={hits.length > 0} aria-controls="hits" aria-activedescendant={hits[selected] ? `hit-${selected}` : undefined}
        value={text} onInput={(event) => { setText(event.currentTarget.value); setChosen(0); }} onKeyDown={onKeyDown} />
      <ul id="hits" role="listbox" aria-label="Results">
        {hits.map((hit, i) => (
          <li key={hit.href} id={`hit-${i}`} role="option" aria-selected={i === selected} onClick={() => open(hit)}>
            <span class="wrap">{hit.text}</span><span>{hit.kind}</span>
          </li>
        ))}
      </ul>
      {hits.length === 0 && <p class="empty">Nothing has that in its name. Keys are found by their first digits, labels by any part.</p>}
    </>
  );
}

function useHits(text: string): Hit[] {
  const { body: groups } = useFeed<Groups>("groups");
  const { body: workers } = useFeed<Workers>("workers");
  const isKey = /^[0-9a-f]{4,32}$/i.test(text);
  const byLabel = useAsked<Tasks>(text ? withQuery("tasks", { label: text, limit: 10 }) : null);
  const byKey = useAsked<Tasks>(isKey ? withQuery("tasks", { key: text.toLowerCase(), limit: 10 }) : null);
  const has = (name: string) => name.toLowerCase().includes(text.toLowerCase());
  const tasks = { ...(isKey ? byKey.body?.tasks : {}), ...(text ? byLabel.body?.tasks : {}) };
  return [
    ...PAGES.filter(({ name }) => has(name)).map(({ id, name }) => ({ href: address(id), text: name, kind: "page" })),
    ...Object.values(workers?.workers ?? {}).filter(({ name }) => text && has(name)).map(({ name }) => ({ href: address("workers", name), text: name, kind: "worker" })),
    ...Object.entries(groups?.groups ?? {}).filter(([, { label }]) => text && has(label)).map(([id, { label }]) => ({ href: address("groups", id), text: label, kind: "group" })),
    ...Object.values(tasks).map(({ key, label, state }) => ({ href: address("tasks", key), text: `${label} ${shortKey(key)}`, kind: `task, ${state}` })),
  ].slice(0, HITS_MAX);
}
