// The machines: who is there, how full and how busy, and one of them closely.

import { useState } from "preact/hooks";
import { span } from "../cursor";
import { control, FeedError } from "../feed/http";
import { useWorkerSeries } from "../feed/series";
import { hello } from "../feed/socket";
import { useFeed } from "../feed/use";
import type { Worker, Workers } from "../feed/types";
import { Awaiting, Empty, Facts, KeyLink, Legend, Loading, Meter, Page, Panel, Stack, State, Stats, WorkerLink } from "../parts/basics";
import { Chart } from "../parts/chart";
import { bytes, bytesPerSecond, clockTime, count, dateTime, micros, perSecond, plural, seconds, share } from "../parts/format";
import { memoryParts, MEMORY_LEGEND } from "../parts/memory_bar";
import { Table } from "../parts/table";
import { address } from "../router";
import { LogPanel } from "./logs";

type Row = [id: string, worker: Worker];

export function WorkersPage({ id }: { id: string }) {
  return id ? <OneWorker key={id} name={id} /> : <AllWorkers />;
}

function AllWorkers() {
  const { body, error } = useFeed<Workers>("workers");
  if (!body) return <Page title="Workers"><Awaiting error={error} /></Page>;
  const rows = Object.entries(body.workers);
  const alive = rows.filter(([, worker]) => worker.alive);
  const slots = alive.reduce((sum, [, worker]) => sum + worker.slots, 0);
  return (
    <Page title="Workers" note={`${count(alive.length)} of ${plural(rows.length, "worker")} alive, ${plural(slots, "slot")}`}>
      <Panel title="Workers" tools={<Legend items={MEMORY_LEGEND} />}>
        {rows.length === 0
          ? <Empty title="No worker has joined">Start one with <code>weft-worker</code> on this machine, or with <code>weft-worker --scheduler-file FILE</code> elsewhere; the scheduler prints where its file is.</Empty>
          : <WorkerTable rows={rows} />}
      </Panel>
    </Page>
  );
}

function WorkerTable({ rows }: { rows: Row[] }) {
  return (
    <Table name="Workers" rows={rows} id={([id]) => id} sort="Name" ascending columns={[
      { name: "Name", value: ([, w]) => w.name, cell: ([, w]) => <WorkerLink name={w.name} /> },
      { name: "Status", value: ([, w]) => w.status, cell: ([, w]) => <State name={w.status} /> },
      { name: "Busy", value: ([, w]) => w.busy, cell: ([, w]) => <Meter share={w.busy} text={share(w.busy)} /> },
      { name: "Memory", value: ([, w]) => w.process_bytes, cell: ([, w]) => (
        <div class="with-meter"><Stack parts={memoryParts(w, w.limit_bytes)} /><span>{bytes(w.process_bytes)}</span></div>) },
      { name: "Of", number: true, value: ([, w]) => w.limit_bytes, cell: ([, w]) => bytes(w.limit_bytes) },
      { name: "Run", number: true, value: ([, w]) => w.running, cell: ([, w]) => `${count(w.running)} of ${count(w.slots)}` },
      { name: "Queued", number: true, value: ([, w]) => w.queued, cell: ([, w]) => count(w.queued) },
      { name: "Finished", number: true, value: ([, w]) => w.finished, cell: ([, w]) => count(w.finished) },
      { name: "Rate", number: true, value: ([, w]) => w.finished_per_s, cell: ([, w]) => perSecond(w.finished_per_s) },
      { name: "Failed attempts", number: true, value: ([, w]) => w.failed_attempts, cell: ([, w]) => <span class={w.failed_attempts ? "bad" : ""}>{count(w.failed_attempts)}</span> },
      { name: "In", number: true, value: ([, w]) => w.received_bytes_per_s, cell: ([, w]) => bytesPerSecond(w.received_bytes_per_s) },
      { name: "Out", number: true, value: ([, w]) => w.sent_bytes_per_s, cell: ([, w]) => bytesPerSecond(w.sent_bytes_per_s) },
      { name: "Host", value: ([, w]) => w.host },
    ]} />
  );
}

function OneWorker({ name }: { name: string }) {
  const { body, error } = useFeed<Workers>(`workers/${encodeURIComponent(name)}`);
  const [id, worker] = Object.entries(body?.workers ?? {})[0] ?? [];
  if (!worker || id === undefined) {
    return <Page title={name}>{body ? <Empty title="This worker was not there at this time"><a href="#/workers">All workers</a></Empty> : <Awaiting error={error} />}</Page>;
  }
  const tasks = Object.entries(body!.tasks ?? {});
  return (
    <Page title={worker.name} note={<><a href="#/workers">All workers</a> · {worker.host}, process {worker.pid}</>}
      tools={<><a class="button" href={address("tasks", null, { worker: worker.name })}>List its tasks</a>
        <a class="button" href={address("profile", null, { worker: worker.name })}>Profile</a>{hello.value?.control && worker.alive && <Retire name={worker.name} />}</>}>
      {!worker.alive && <div class="notice error"><p><strong>Lost at {dateTime(worker.lost)}.</strong> What only it held is computed again elsewhere; its log below may say why it ended.</p></div>}
      <Stats figures={[
        { name: "Status", value: <State name={worker.status} />, note: `last heard ${clockTime(worker.heard)}` },
        { name: "Busy slots", value: share(worker.busy), note: `${count(worker.running)} of ${plural(worker.slots, "slot")} run` },
        { name: "Queued", value: count(worker.queued), note: `${count(worker.assigned)} assigned` },
        { name: "Finished attempts", value: count(worker.finished), note: perSecond(worker.finished_per_s) },
        { name: "Failed attempts", value: <span class={worker.failed_attempts ? "bad" : ""}>{count(worker.failed_attempts)}</span> },
        { name: "Received", value: bytes(worker.received_bytes), note: bytesPerSecond(worker.received_bytes_per_s) },
        { name: "Sent", value: bytes(worker.sent_bytes), note: bytesPerSecond(worker.sent_bytes_per_s) },
      ]} />
      <div class="grid">
        <Charts id={id} limit={worker.limit_bytes} />
        <Panel title="Running and queued" note={plural(tasks.length, "assigned task")}>
          {tasks.length === 0 ? <Empty title="It has nothing to do now">{body!.live ? "Tasks that it gets appear here." : "What a worker ran in the past is on the timeline."}</Empty> : (
            <Table name="Assigned tasks" rows={tasks} id={([key]) => key} columns={[
              { name: "Task", value: ([, t]) => t.label, cell: ([key, t]) => <KeyLink taskKey={key} label={t.label} /> },
              { name: "State", value: ([, t]) => t.state, cell: ([, t]) => <State name={t.state} /> },
              { name: "Since", number: true, value: ([, t]) => t.started, cell: ([, t]) => (t.started == null ? "–" : micros(body!.t1 - t.started)) },
            ]} />
          )}
        </Panel>
        <Panel title="Facts">
          <Facts facts={[
            ["Address", <span class="mono">{worker.address}</span>], ["Joined", dateTime(worker.joined)], ["Memory limit", bytes(worker.limit_bytes)],
            ["Resources", Object.entries(worker.resources ?? {}).map(([resource, amount]) => `${resource} ${amount}`).join(", ") || "none beside its slots"],
          ]} />
        </Panel>
      </div>
      <LogPanel worker={worker.name} />
    </Page>
  );
}

function Charts({ id, limit }: { id: string; limit: number }) {
  const { body, error } = useWorkerSeries(["busy", "managed_bytes", "spilled_bytes", "unmanaged_bytes"]);
  const series = body?.series[id];
  if (!body) return error ? null : <Loading />;
  if (!series || body.t.length < 2) return null;
  const window = `last ${seconds(span.value / 1e6)}`;
  return (
    <>
      <Panel title="Busy slots" note={window}>
        <Chart title="Busy slots" t={body.t} unit={share} max={1} lines={[{ name: "busy", fill: "accent", values: series.busy ?? [] }]} />
      </Panel>
      <Panel title="Memory" note={`limit ${bytes(limit)}`}>
        <Chart title="Memory" t={body.t} unit={bytes} lines={[
          { name: "managed", fill: "managed", values: series.managed_bytes ?? [] }, { name: "spilled", fill: "spilled", values: series.spilled_bytes ?? [] },
          { name: "unmanaged", fill: "unmanaged", values: series.unmanaged_bytes ?? [] },
        ]} />
      </Panel>
    </>
  );
}

function Retire({ name }: { name: string }) {
  const [asked, setAsked] = useState(false);
  const [problem, setProblem] = useState("");
  const retire = async () => {
    if (!asked) return setAsked(true);
    try {
      const [told] = await control<{ reason?: string }[]>("retire", { workers: [name] });
      setProblem(told?.reason ? `It stays: ${told.reason}.` : "");
    } catch (error) {
      if (!(error instanceof FeedError)) throw error;
      setProblem(error.message);
    }
    setAsked(false);
  };
  return <><button onClick={retire}>{asked ? "Hand over its values and end it?" : "Retire"}</button>{problem && <span class="bad" role="alert">{problem}</span>}</>;
}
