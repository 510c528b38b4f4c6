// Work of the past: each run, and two of them side by side.

import { useState } from "preact/hooks";
import { seek, span } from "../cursor";
import { withQuery } from "../feed/http";
import { useAsked, useFeed } from "../feed/use";
import type { Run, RunGroup, Runs, RunsCompared, Starts } from "../feed/types";
import { Awaiting, Empty, Page, Panel } from "../parts/basics";
import { bytes, count, dateTime, micros, plural, seconds, share } from "../parts/format";
import { Table } from "../parts/table";
import { go } from "../router";

type Row = [id: string, run: Run];

export function RunsPage() {
  const { body, error } = useFeed<Runs>("runs", 0.5);
  const [a, setA] = useState("");
  const [b, setB] = useState("");
  if (!body) return <Page title="Runs"><Awaiting error={error} /></Page>;
  const rows = Object.entries(body.runs);
  const look = (run: Run) => {
    span.value = Math.max(1e6, (run.end ?? body.t1) - run.start);
    if (run.end != null) seek(run.end);
    go("timeline");
  };
  return (
    <Page title="Runs" note="a run begins with the first open task after 5 s without any">
      <Panel title="Runs" note={plural(rows.length, "run")}>
        {rows.length === 0 ? <Empty title="Nothing has run yet">Each stretch of work becomes a run here. Keep the logs of earlier ones with the scheduler's history folder, and open them with <code>weft history DIR</code>.</Empty>
          : (
            <Table name="Runs" rows={rows} id={([id]) => id} sort="Began" columns={[
              { name: "Compare", cell: ([id, run]) => <Choice id={id} name={run.name} a={a} b={b} setA={setA} setB={setB} /> },
              { name: "Run", value: ([, run]) => run.name, cell: ([, run]) => <button class="plain" title="Show it on the timeline" onClick={() => look(run)}>{run.name}{run.current ? ", now" : ""}</button> },
              ...runColumns(body.t1),
            ]} />
          )}
      </Panel>
      <StartsPanel />
      {rows.length > 0 && (a && b ? <Compared a={a} b={b} /> : (
        <Panel title="Compare two runs"><Empty title="Choose an A and a B above">The groups of both are then set side by side: how many, how long, how large.</Empty></Panel>
      ))}
    </Page>
  );
}

const wallClock = (unixUs: number): string => new Date(unixUs / 1000).toISOString().slice(0, 19).replace("T", " ");

// Each start of the scheduler has its own log in the folder; in a history each is a page of its own.
function StartsPanel() {
  const { body } = useAsked<Starts>("starts");
  const rows = Object.entries(body?.starts ?? {});
  if (rows.length < 2) return null;
  const live = rows.every(([, start]) => start.path === null);
  return (
    <Panel title="Starts of the scheduler" note={live ? <>earlier ones: <code>weft history DIR</code></> : "in this folder; UTC"}>
      <Table name="Starts of the scheduler" rows={rows} id={([epoch]) => epoch} sort="Began" columns={[
        { name: "Start", value: ([epoch]) => epoch, cell: ([epoch, start]) => (start.shown || start.path === null ? <>{epoch}{start.shown && ", shown"}</> : <a href={start.path}>{epoch}</a>) },
        { name: "Began", number: true, value: ([, start]) => start.began_unix_us, cell: ([, start]) => wallClock(start.began_unix_us) },
        { name: "Last wrote", number: true, value: ([, start]) => start.written_unix_us, cell: ([, start]) => wallClock(start.written_unix_us) },
        { name: "Log", number: true, value: ([, start]) => start.bytes, cell: ([, start]) => bytes(start.bytes) },
      ]} />
    </Panel>
  );
}

function runColumns(now: number) {
  return [
    { name: "Began", number: true, value: ([, run]: Row) => run.start, cell: ([, run]: Row) => dateTime(run.start) },
    { name: "Took", number: true, value: ([, run]: Row) => (run.end ?? now) - run.start, cell: ([, run]: Row) => micros((run.end ?? now) - run.start) },
    { name: "Tasks", number: true, value: ([, run]: Row) => run.tasks, cell: ([, run]: Row) => count(run.tasks) },
    { name: "Finished", number: true, value: ([, run]: Row) => run.finished, cell: ([, run]: Row) => count(run.finished) },
    { name: "Failed tasks", number: true, value: ([, run]: Row) => run.failed_tasks, cell: ([, run]: Row) => count(run.failed_tasks) },
    { name: "Groups", number: true, value: ([, run]: Row) => run.groups, cell: ([, run]: Row) => count(run.groups) },
    { name: "Busy", number: true, value: ([, run]: Row) => run.busy, cell: ([, run]: Row) => share(run.busy) },
    { name: "Values", number: true, value: ([, run]: Row) => run.bytes, cell: ([, run]: Row) => bytes(run.bytes) },
  ];
}

function Choice({ id, name, a, b, setA, setB }: { id: string; name: string; a: string; b: string; setA(id: string): void; setB(id: string): void }) {
  return (
    <span class="tools">
      <button aria-pressed={a === id} aria-label={`Compare ${name} as A`} onClick={() => setA(id)}>A</button>
      <button aria-pressed={b === id} aria-label={`Compare ${name} as B`} onClick={() => setB(id)}>B</button>
    </span>
  );
}

function Compared({ a, b }: { a: string; b: string }) {
  const { body, error } = useAsked<RunsCompared>(withQuery("runs/compare", { a, b }));
  if (!body) return <Panel title="Compare"><Awaiting error={error} /></Panel>;
  type Pair = [label: string, groups: { a?: RunGroup | null; b?: RunGroup | null }];
  const rows: Pair[] = Object.entries(body.groups);
  const ratio = ([, { a, b }]: Pair) => (a?.mean_s && b?.mean_s ? b.mean_s / a.mean_s : null);
  return (
    <Panel title={`${body.a.name} and ${body.b.name}`} note="B against A, by label">
      <Table name="Groups of both runs" rows={rows} id={([label]) => label} sort="Run time B" columns={[
        { name: "Label", value: ([label]) => label, text: true },
        { name: "Tasks A", number: true, value: ([, g]) => g.a?.count, cell: ([, g]) => count(g.a?.count) },
        { name: "Tasks B", number: true, value: ([, g]) => g.b?.count, cell: ([, g]) => count(g.b?.count) },
        { name: "Mean A", number: true, value: ([, g]) => g.a?.mean_s, cell: ([, g]) => seconds(g.a?.mean_s) },
        { name: "Mean B", number: true, value: ([, g]) => g.b?.mean_s, cell: ([, g]) => seconds(g.b?.mean_s) },
        { name: "Change", number: true, value: (row) => ratio(row), cell: (row) => <Change ratio={ratio(row)} /> },
        { name: "Run time A", number: true, value: ([, g]) => g.a?.run_s, cell: ([, g]) => seconds(g.a?.run_s) },
        { name: "Run time B", number: true, value: ([, g]) => g.b?.run_s, cell: ([, g]) => seconds(g.b?.run_s) },
        { name: "Values A", number: true, value: ([, g]) => g.a?.bytes, cell: ([, g]) => bytes(g.a?.bytes) },
        { name: "Values B", number: true, value: ([, g]) => g.b?.bytes, cell: ([, g]) => bytes(g.b?.bytes) },
      ]} />
    </Panel>
  );
}

const SAME = 0.05;

function Change({ ratio }: { ratio: number | null }) {
  if (ratio === null) return <span class="dim">–</span>;
  if (Math.abs(ratio - 1) < SAME) return <span class="dim">same</span>;
  return ratio > 1 ? <span class="bad">↑ {ratio.toFixed(2)} × as long</span> : <span class="good">↓ {ratio.toFixed(2)} × as long</span>;
}
