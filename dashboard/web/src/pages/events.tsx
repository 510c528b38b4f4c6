// What went wrong and what changed: errors by type and place, and the events of the cluster.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { seek } from "../cursor";
import { withQuery } from "../feed/http";
import { useList } from "../feed/follow";
import { useFeed } from "../feed/use";
import type { ErrorRow, Errors, FeedEvent, Groups, Workers } from "../feed/types";
import { Awaiting, Empty, GroupName, KeyLink, Page, Panel, WorkerLink } from "../parts/basics";
import { clockTime, count, dateTime, plural } from "../parts/format";
import { Long } from "../parts/long";
import { Table } from "../parts/table";

const KINDS: Record<string, string> = {
  worker_joined: "worker joined", worker_lost: "worker lost", worker_status: "worker status", failed: "failed task",
  retried: "failed attempt, repeated", gap: "records dropped", client: "client", control: "control",
};

export function EventsPage() {
  return <Page title="Events and errors"><ErrorPanel /><EventPanel /></Page>;
}

function ErrorPanel() {
  const { body, error } = useFeed<Errors>("errors");
  const { body: groups } = useFeed<Groups>("groups");
  const { body: workers } = useFeed<Workers>("workers");
  const rows = Object.entries(body?.errors ?? {}).sort(([, a], [, b]) => b.last - a.last);
  return (
    <Panel title="Errors" note={rows.length ? `${plural(rows.length, "kind")}, by type and top frame, newest first` : undefined}>
      {!body ? <Awaiting error={error} />
        : rows.length === 0 ? <Empty title="No attempt has failed">Errors are grouped here by their type and the place they were thrown at, with the stack and the last output of one of them.</Empty>
          : rows.map(([id, row]) => <OneError key={id} row={row} groups={groups} workers={workers} />)}
    </Panel>
  );
}

const NAMES_SHOWN = 3;

function OneError({ row, groups, workers }: { row: ErrorRow; groups: Groups | null; workers: Workers | null }) {
  return (
    <article class="error-row">
      <header>
        <span class="bad" aria-hidden="true">✕</span>
        <strong><Long text={row.type || row.kind} /></strong>
        <span>{plural(row.failed_attempts, "failed attempt")}, {plural(row.failed_tasks, "failed task")}</span>
        <span class="dim">{row.kind}, last {dateTime(row.last)}</span>
      </header>
      <Long text={row.message} />
      {row.frame && <div class="mono dim"><Long text={`at ${row.frame}`} /></div>}
      <Counted what="label" table={row.groups} name={(id) => <GroupName id={id} label={groups?.groups[id]?.label ?? `group ${id}`} />} />
      <Counted what="worker" table={row.workers} name={(id) => <WorkerLink name={workers?.workers[id]?.name} />} />
      <details>
        <summary>One of them: stack and output</summary>
        <p>Task <KeyLink taskKey={row.example.key} />, attempt {count(row.example.attempt)}</p>
        {row.example.traceback && <pre class="code" tabIndex={0}>{row.example.traceback}</pre>}
        {row.example.output && <><h3>Its last output</h3><pre class="code" tabIndex={0}>{row.example.output}</pre></>}
      </details>
    </article>
  );
}

// Where an error came up, most often first; the rest when asked for.
function Counted({ what, table, name }: { what: string; table: Record<string, number>; name(id: string): ComponentChildren }) {
  const [all, setAll] = useState(false);
  const rows = Object.entries(table).sort(([, a], [, b]) => b - a);
  const left = rows.length - NAMES_SHOWN;
  return (
    <ul class="legend counted">
      {rows.slice(0, all ? rows.length : NAMES_SHOWN).map(([id, n]) => <li key={id}>{name(id)} {count(n)}</li>)}
      {left > 0 && <li><button class="plain" aria-expanded={all} onClick={() => setAll(!all)}>{all ? `Show ${NAMES_SHOWN} ${what}s` : `and ${plural(left, `other ${what}`)}`}</button></li>}
    </ul>
  );
}

function EventPanel() {
  const [kind, setKind] = useState("");
  const { items, error } = useList<FeedEvent>(withQuery("events", { kind, limit: 1000 }), "events");
  return (
    <Panel title="Events" note={items ? plural(items.length, "event") : undefined} tools={
      <label>Kind{" "}
        <select value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
          <option value="">all</option>
          {Object.entries(KINDS).map(([id, name]) => <option key={id} value={id}>{name}</option>)}
        </select>
      </label>
    }>
      {!items ? <Awaiting error={error} />
        : items.length === 0 ? <Empty title="No events">Workers that join or leave, failed attempts and failed tasks are told here.</Empty>
          : (
            <Table name="Events" rows={items} id={(row) => row.n} sort="Time" columns={[
              { name: "Time", value: (row) => row.t * 1e6 + row.n % 1e6, cell: (row) => <button class="plain mono" title="Move the time cursor here" onClick={() => seek(row.t)}>{clockTime(row.t)}</button> },
              { name: "Kind", value: (row) => row.kind, cell: (row) => <span class={["worker_lost", "failed"].includes(row.kind) ? "bad" : ""}>{KINDS[row.kind] ?? row.kind}</span> },
              { name: "What", value: (row) => row.text, cell: (row) => <Long text={row.text} /> },
              { name: "Worker", value: (row) => row.worker, cell: (row) => <WorkerLink name={row.worker} /> },
              { name: "Task", cell: (row) => row.key && <KeyLink taskKey={row.key} /> },
            ]} />
          )}
    </Panel>
  );
}
