// Finding tasks: by label, state, worker or the first digits of a key.

import { useEffect, useState } from "preact/hooks";
import { cursor } from "../cursor";
import { withQuery } from "../feed/http";
import { useAsked } from "../feed/use";
import { TASK_STATES, type Tasks } from "../feed/types";
import { Awaiting, Empty, GroupName, KeyLink, Page, Panel, State, WorkerLink } from "../parts/basics";
import { bytes, clockTime, count, plural, seconds } from "../parts/format";
import { Table } from "../parts/table";
import { address, go, route } from "../router";
import { OneTask } from "./task";

const LIMIT = 200;
const EVERY_MS = 2000;
const KEY_DIGITS = 32;

export function TasksPage({ id }: { id: string }) {
  if (id.length === KEY_DIGITS) return <OneTask key={id} taskKey={id} />;
  return id ? <ByPrefix prefix={id} /> : <TaskList />;
}

// The timeline knows the first half of a key only.
function ByPrefix({ prefix }: { prefix: string }) {
  const { body, error } = useAsked<Tasks>(withQuery("tasks", { key: prefix, limit: 2 }));
  const keys = Object.keys(body?.tasks ?? {});
  useEffect(() => { if (keys.length === 1) location.replace(address("tasks", keys[0])); }, [keys.length]);
  if (!body) return <Page title="Tasks"><Awaiting error={error} /></Page>;
  if (keys.length === 0) return <Page title="Tasks"><Empty title={`No task has a key that begins with ${prefix}`}>It may have been forgotten. <a href="#/tasks">Search by label</a>.</Empty></Page>;
  return <TaskList prefix={prefix} />;
}

function TaskList({ prefix }: { prefix?: string }) {
  const { query } = route.value;
  const [label, setLabel] = useState(query.get("label") ?? "");
  const [state, setState] = useState(query.get("state") ?? "");
  const [key, setKey] = useState(prefix ?? "");
  const [worker, setWorker] = useState(query.get("worker") ?? "");
  useEffect(() => {
    setLabel(query.get("label") ?? "");
    setState(query.get("state") ?? "");
    setWorker(query.get("worker") ?? "");
  }, [query]);
  const { body, error } = useAsked<Tasks>(withQuery("tasks", { label, state, worker, key: key.toLowerCase(), limit: LIMIT, t1: cursor.value }), EVERY_MS);
  const rows = Object.values(body?.tasks ?? {});
  const filtered = Boolean(label || state || key || worker);
  return (
    <Page title="Tasks" note={body ? `${body.more ? "the first " : ""}${plural(rows.length, "task")}` : undefined}>
      <Panel title="Tasks" tools={
        <form class="tools" role="search" onSubmit={(event) => {
          event.preventDefault();
          if (key.length === KEY_DIGITS) go(address("tasks", key));
        }}>
          <label>Label <input type="search" value={label} onInput={(event) => setLabel(event.currentTarget.value)} /></label>
          <label>Key <input type="search" class="mono" size={12} value={key} onInput={(event) => setKey(event.currentTarget.value.trim())} /></label>
          <label>Worker <input type="search" size={10} value={worker} onInput={(event) => setWorker(event.currentTarget.value)} /></label>
          <label>State{" "}
            <select value={state} onChange={(event) => setState(event.currentTarget.value)}>
              <option value="">any</option>
              {TASK_STATES.map((name) => <option key={name} value={name}>{name}</option>)}
            </select>
          </label>
        </form>
      }>
        {error && <Awaiting error={error} />}
        {!body ? !error && <Awaiting error={null} />
          : rows.length > 0 ? <TaskTable rows={rows} />
            : filtered ? <Empty title="No task fits">Take a filter away. Tasks that every client released are forgotten.</Empty>
              : <Empty title="No tasks yet">Submit one: <code>client.submit(f, x)</code>. Tasks appear here while a client holds their future.</Empty>}
        {body?.more && <p class="dim">There are more than {count(LIMIT)}; narrow the search.</p>}
      </Panel>
    </Page>
  );
}

function TaskTable({ rows }: { rows: Tasks["tasks"][string][] }) {
  return (
    <Table name="Tasks" rows={rows} id={(row) => row.key} sort="Began" columns={[
      { name: "Key", value: (row) => row.key, cell: (row) => <KeyLink taskKey={row.key} /> },
      { name: "Label", text: true, value: (row) => row.label, cell: (row) => <GroupName id={row.group} label={row.label} /> },
      { name: "State", value: (row) => row.state, cell: (row) => <State name={row.state} /> },
      { name: "Worker", value: (row) => row.worker, cell: (row) => <WorkerLink name={row.worker} /> },
      { name: "Attempts", number: true, value: (row) => row.attempts, cell: (row) => count(row.attempts) },
      { name: "Began", number: true, value: (row) => row.start, cell: (row) => clockTime(row.start, 1e3) },
      { name: "Ran", number: true, value: (row) => row.run_s, cell: (row) => seconds(row.run_s) },
      { name: "Value", number: true, value: (row) => row.bytes, cell: (row) => bytes(row.bytes) },
      { name: "Error", text: true, value: (row) => row.error?.message, cell: (row) => row.error && <span class="bad">{row.error.message}</span> },
    ]} />
  );
}
