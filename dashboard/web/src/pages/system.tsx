// What Weft itself costs and how it is set: the scheduler's loop, the observer, the options with their origins.

import { useAsked, useFeed } from "../feed/use";
import { span, edge } from "../cursor";
import type { Config, System } from "../feed/types";
import { Awaiting, Empty, Facts, Page, Panel, Stats } from "../parts/basics";
import { bytes, count, plural, seconds, share } from "../parts/format";
import { Table } from "../parts/table";

const NOT_RECORDED = "not in this log";

export function SystemPage() {
  const { body, error } = useFeed<System>("system", 1);
  if (!body) return <Page title="System"><Awaiting error={error} /></Page>;
  const { scheduler, observer, viewers } = body;
  const began = new Date(body.origin_unix_us / 1000);
  return (
    <Page title="System" note={`Weft ${body.version || "of a version that this log does not name"}, protocol ${body.protocol}${body.reader ? `, shown by ${body.reader}` : ""}`} tools={<Traces />}>
      <Stats figures={[
        { name: "Scheduler busy", value: share(scheduler.loop.busy), note: `${count(scheduler.loop.steps)} steps` },
        { name: "Mean step", value: seconds(scheduler.loop.mean_s), note: `p99 ${seconds(scheduler.loop.p99_s)}` },
        { name: "Longest step", value: seconds(scheduler.loop.max_s) },
        { name: "Records seen", id: "records", value: count(observer.records), note: `${plural(observer.queue, "record")} queued` },
        { name: "Dropped records", value: <span class={observer.dropped ? "warn" : ""}>{count(observer.dropped)}</span>, note: observer.dropped ? "the timeline has gaps" : "nothing is missing" },
        { name: "Viewers", value: count(viewers.sessions), note: `${bytes(viewers.sent_bytes)} sent, ${count(viewers.cut)} cut off` },
      ]} />
      <div class="grid">
        <Panel title="Scheduler">
          <Facts facts={[
            ["Host", scheduler.host || NOT_RECORDED], ["Process", scheduler.pid ? String(scheduler.pid) : NOT_RECORDED], ["Epoch", String(scheduler.epoch)],
            ["Shown is", body.mode === "live" ? "a live scheduler" : "a history from a log"],
            ["Since", `${began.toISOString().slice(0, 10)} ${began.toLocaleTimeString("en-GB")}`],
            ["Control from here", body.control ? "on" : <>off; <code>weft-scheduler --dashboard-control</code> turns it on</>],
          ]} />
        </Panel>
        <Panel title="Observer" note="sees copies; the scheduler never waits for it">
          <Facts facts={[
            ["Tasks held", count(observer.tasks_held)], ["History in memory", bytes(observer.history_bytes)], ["Event log on disk", bytes(observer.log_bytes)],
            ["Machines read", <><a href="metrics">metrics</a> for Prometheus, <a href="api/v1/schema">api/v1/schema</a>, <a href="healthz">healthz</a></>],
          ]} />
        </Panel>
      </div>
      <Options />
    </Page>
  );
}

function Traces() {
  const t1 = Math.round(edge());
  const range = `t0=${Math.max(0, Math.round(t1 - span.value))}&t1=${t1}`;
  return (
    <>
      <span class="dim">Trace of the time shown</span>
      <a class="button" href={`api/v1/trace?format=perfetto&${range}`} download="weft.perfetto-trace">Perfetto</a>
      <a class="button" href={`api/v1/trace?format=chrome&${range}`} download="weft-trace.json">Chrome JSON</a>
    </>
  );
}

function Options() {
  const { body, error } = useAsked<Config>("config");
  const text = (value: unknown) => (value === "" ? "“”" : typeof value === "string" ? value : JSON.stringify(value));
  return (
    <Panel title="Effective configuration" note="and where each value came from">
      {!body ? <Awaiting error={error} /> : Object.keys(body.options).length === 0 ? <Empty title="The options are not known">Logs of this version have them; this one is older, or the scheduler has none.</Empty> : (
        <Table name="Effective configuration" rows={Object.entries(body.options)} id={([name]) => name} sort="Option" ascending columns={[
          { name: "Option", value: ([name]) => name, cell: ([name]) => <code>{name}</code> },
          { name: "Value", value: ([, option]) => text(option.value), cell: ([, option]) => <span class="wrap mono">{text(option.value)}</span> },
          { name: "Default", value: ([, option]) => text(option.default), cell: ([, option]) => <span class="wrap mono dim">{text(option.default)}</span> },
          { name: "Origin", value: ([, option]) => option.origin },
        ]} />
      )}
    </Panel>
  );
}
