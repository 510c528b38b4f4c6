// The first page: how far, how fast, how full, and what needs a person.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { span } from "../cursor";
import { withQuery } from "../feed/http";
import { isReport } from "../feed/report";
import { useFeed } from "../feed/use";
import { useSeries } from "../feed/series";
import type { Alert, Overview as Body, Progress, ProgressRows } from "../feed/types";
import { Awaiting, Empty, GroupName, Legend, Loading, Page, Panel, Problem, Stack, Stats } from "../parts/basics";
import { Chart } from "../parts/chart";
import { bytes, bytesPerSecond, count, perSecond, plural, seconds, share } from "../parts/format";

const SERIES = ["managed_bytes", "spilled_bytes", "unmanaged_bytes", "busy", "finished_per_s", "transfer_bytes_per_s"];
const PROGRESS_SHOWN = 12;
const PROGRESS_MORE = 100;

export function Overview() {
  const { body, error } = useFeed<Body>("overview");
  if (!body) return <Page title="Overview"><Awaiting error={error} /></Page>;
  const { tasks, workers } = body;
  const open = tasks.waiting + tasks.ready + tasks.assigned;
  const idle = open === 0 && body.totals.finished === 0 && tasks.stored === 0 && tasks.failed === 0;
  return (
    <Page title="Overview" note={idle ? "Nothing has run yet" : `${count(open)} open, ${count(body.running)} running on ${plural(workers.total, "worker")}`}>
      <Alerts alerts={body.alerts} dropped={body.dropped} />
      <Stats figures={[
        { name: "Finished attempts", id: "finished", value: count(body.totals.finished), note: `${perSecond(body.rates.finished_per_s)} now` },
        { name: "Open tasks", id: "open", value: count(open), note: `${count(tasks.assigned)} assigned, ${count(tasks.ready)} ready, ${count(tasks.waiting)} waiting` },
        { name: "Failed tasks", id: "failed", value: <span class={tasks.failed ? "bad" : ""}>{count(tasks.failed)}</span>, note: `${plural(body.totals.failed_attempts, "failed attempt")}, ${count(body.totals.retried)} repeated` },
        { name: "Busy slots", id: "busy", value: share(body.busy), note: `${count(body.running)} of ${plural(body.slots, "slot")} run` },
        { name: "Workers", id: "workers", value: count(workers.total), note: workersNote(workers) },
        { name: "Values in memory", id: "managed", value: bytes(body.memory.managed_bytes), note: `and ${bytes(body.memory.spilled_bytes)} on disk` },
        { name: "Moved between workers", id: "moved", value: bytes(body.totals.transfer_bytes), note: `${bytesPerSecond(body.rates.transfer_bytes_per_s)} now` },
      ]} />
      {idle && workers.total === 0 ? <FirstSteps /> : <ProgressPanel all={body.labels} progress={body.progress} />}
      <Charts memory={body.memory} />
    </Page>
  );
}

function workersNote(workers: Body["workers"]): string {
  const rest = (["paused", "retiring", "disconnected"] as const).filter((state) => workers[state] > 0);
  return rest.length ? rest.map((state) => `${count(workers[state])} ${state}`).join(", ") : workers.total ? "all run" : "none has joined";
}

function Alerts({ alerts, dropped }: { alerts: Record<string, Alert>; dropped: number }) {
  const rows: ComponentChildren[] = Object.entries(alerts).map(([id, alert]) => (
    <div class={`notice ${alert.level}`} key={id} data-alert={id}>
      <p><strong>{alert.text}</strong></p>
      <p>{alert.advice} {alert.page && <a href={`#/${alert.page.split("/").map(encodeURIComponent).join("/")}`}>Look there</a>}</p>
    </div>
  ));
  if (dropped > 0) rows.push(
    <div class="notice warning" key="dropped"><p>{count(dropped)} records were dropped because the observer could not keep up; totals that come from the scheduler stay exact, the timeline has gaps. <a href="#/system">See System</a></p></div>);
  return rows.length ? <div class="column">{rows}</div> : null;
}

function FirstSteps() {
  return (
    <Panel title="Start here">
      <Empty title="No worker has joined yet">
        Start one on this machine or another with <code>weft-worker</code>, or run a whole program with <code>weft local --workers 4 -- ./program</code>. This page then fills by itself.
      </Empty>
    </Panel>
  );
}

function ProgressPanel({ all, progress }: { all: number; progress: Record<string, Progress> }) {
  const [part, setPart] = useState("");
  const [shown, setShown] = useState(PROGRESS_SHOWN);
  const narrowed = part !== "" || shown > Object.keys(progress).length;
  const { body: asked, error } = useFeed<ProgressRows>(narrowed ? withQuery("progress", { label: part, limit: shown }) : null);
  const rows = Object.entries(narrowed && asked ? asked.progress : progress).filter(([, { label }]) => label.includes(part))
    .sort(([, a], [, b]) => b.open - a.open || b.total - a.total);
  const labels = part === "" ? all : isReport || !asked ? rows.length : asked.labels;
  if (all === 0) return (
    <Panel title="Progress"><Empty title="No tasks yet">Submit some: <code>client.submit(f, x)</code> or <code>client.map(f, xs)</code>. Each label becomes a bar here.</Empty></Panel>
  );
  const visible = Math.min(shown, rows.length);
  const left = labels - visible;
  return (
    <Panel title="Progress by label" note={left > 0 ? `the ${count(visible)} with most to do of ${count(labels)}` : plural(labels, "label")}
      tools={<>
        {(all > PROGRESS_SHOWN || part !== "") && <label>Label{" "}
          <input type="search" value={part} placeholder="part of its name" onInput={(event) => { setPart(event.currentTarget.value); setShown(PROGRESS_SHOWN); }} /></label>}
        <Legend items={[["done", "fill-stored"], ["assigned", "fill-assigned"], ["failed", "fill-failed"]]} />
      </>}>
      {error && narrowed && <Problem error={error} />}
      {rows.length === 0 && <Empty title="No label has that part">Write another, or clear the field to see all.</Empty>}
      <ul class="bars grid">{rows.slice(0, shown).map(([id, row]) => <Bar key={id} id={id} row={row} />)}</ul>
      {left > 0 && (
        <p class="tools">
          <button onClick={() => setShown(shown + PROGRESS_MORE)}>Show {count(Math.min(PROGRESS_MORE, left))} more</button>
          {shown > PROGRESS_SHOWN && <button onClick={() => setShown(PROGRESS_SHOWN)}>Show the first {PROGRESS_SHOWN}</button>}
          <span class="dim">{plural(left, "other label")}</span>
        </p>
      )}
    </Panel>
  );
}

function Bar({ id, row }: { id: string; row: Progress }) {
  return (
    <li data-progress={id}>
      <GroupName id={id} label={row.label} />
      <span class="figures">{progressText(row)}</span>
      <Stack parts={[
        { share: row.done / row.total, fill: "fill-stored" }, { share: row.failed / row.total, fill: "fill-failed" },
        { share: row.assigned / row.total, fill: "fill-assigned" },
      ]} />
    </li>
  );
}

function progressText(row: Progress): string {
  const parts = [`${count(row.done)} of ${plural(row.total, "task")}`];
  if (row.failed) parts.push(`${count(row.failed)} failed`);
  if (row.open) parts.push(perSecond(row.rate_per_s));
  if (row.open && row.eta_s !== null && row.eta_s !== undefined) parts.push(`${seconds(row.eta_s)} left`);
  return parts.join(" · ");
}

function Charts({ memory }: { memory: Body["memory"] }) {
  const { body, error } = useSeries(SERIES);
  if (!body) return error ? null : <Loading />;
  if (body.t.length < 2) return null;
  const line = (name: string) => body.series[name] ?? [];
  return (
    <div class="grid">
      <Panel title="Busy slots" note={`last ${seconds(span.value / 1e6)}`}>
        <Chart title="Busy slots" t={body.t} unit={share} max={1} lines={[{ name: "busy", fill: "accent", values: line("busy") }]} />
      </Panel>
      <Panel title="Throughput" note="attempts that ended">
        <Chart title="Throughput" t={body.t} unit={perSecond} lines={[{ name: "finished", fill: "accent", values: line("finished_per_s") }]} />
      </Panel>
      <Panel title="Memory" note={`${bytes(memory.process_bytes)} of ${bytes(memory.limit_bytes)}`}>
        <Chart title="Memory of all workers" t={body.t} unit={bytes} lines={[
          { name: "managed", fill: "managed", values: line("managed_bytes") }, { name: "spilled", fill: "spilled", values: line("spilled_bytes") },
          { name: "unmanaged", fill: "unmanaged", values: line("unmanaged_bytes") },
        ]} />
      </Panel>
      <Panel title="Transfers" note="values moved between workers">
        <Chart title="Transfers" t={body.t} unit={bytesPerSecond} lines={[{ name: "received", fill: "accent", values: line("transfer_bytes_per_s") }]} />
      </Panel>
    </div>
  );
}
