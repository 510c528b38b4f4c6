// Where the bytes are: by worker and kind, by group, by single value.

import { useState } from "preact/hooks";
import { withQuery } from "../feed/http";
import { useAsked } from "../feed/use";
import { cursor } from "../cursor";
import { useSeries } from "../feed/series";
import type { MemoryRow, MemoryRows } from "../feed/types";
import { Awaiting, Empty, GroupName, KeyLink, Legend, Meter, Page, Panel, Stack, WorkerLink } from "../parts/basics";
import { Chart } from "../parts/chart";
import { bytes, count, share } from "../parts/format";
import { memoryParts, MEMORY_LEGEND } from "../parts/memory_bar";
import { Table, type Column } from "../parts/table";

type Row = [id: string, row: MemoryRow];
const WAYS = [["worker", "By worker"], ["group", "By group"], ["key", "Largest values"]] as const;
const EVERY_MS = 1000;

export function MemoryPage() {
  const [by, setBy] = useState<"worker" | "group" | "key">("worker");
  const { body, error } = useAsked<MemoryRows>(withQuery("memory", { by, t1: cursor.value }), EVERY_MS);
  const rows = Object.entries(body?.rows ?? {});
  const sum = (field: "managed_bytes" | "spilled_bytes" | "copies_bytes") => rows.reduce((all, [, row]) => all + (row[field] ?? 0), 0);
  const held = sum("managed_bytes");
  const note = `${bytes(held)} of values in memory, ${bytes(sum("spilled_bytes"))} on disk` + (by === "worker" ? "" : `; ${bytes(sum("copies_bytes"))} of both are copies`);
  return (
    <Page title="Memory" note="values are accounted exactly; “other” is the rest of the processes"
      tools={<>{WAYS.map(([way, name]) => <button key={way} aria-pressed={by === way} onClick={() => setBy(way)}>{name}</button>)}</>}>
      <Over />
      <Panel title={WAYS.find(([way]) => way === by)![1]} note={body ? note : undefined} tools={by === "worker" ? <Legend items={MEMORY_LEGEND} /> : undefined}>
        {!body ? <Awaiting error={error} />
          : rows.length === 0 ? <Empty title="Nothing is held">Results stay on the workers while a client holds their futures. Submit something and keep its future.</Empty>
            : <Table key={by} name={`Memory ${by}`} rows={rows} id={([id]) => id} sort="In memory" columns={columns(by, held)} />}
        {body?.rest && (body.rest.managed_bytes > 0 || body.rest.spilled_bytes > 0) && (
          <p class="dim">The workers hold {bytes(body.rest.managed_bytes)} more in memory{body.rest.spilled_bytes > 0 && ` and ${bytes(body.rest.spilled_bytes)} on disk`} that is no group's value now: results that are being made or received, what a task still reads though nobody wants it any more, and the ends of pages.</p>
        )}
      </Panel>
    </Page>
  );
}

function columns(by: string, held: number): Column<Row>[] {
  const values: Column<Row>[] = [
    { name: "In memory", number: true, value: ([, r]) => r.managed_bytes, cell: ([, r]) => bytes(r.managed_bytes) },
  ];
  const elsewhere: Column<Row>[] = [
    { name: "On disk", number: true, value: ([, r]) => r.spilled_bytes, cell: ([, r]) => bytes(r.spilled_bytes) },
    { name: "Copies", number: true, value: ([, r]) => r.copies_bytes, cell: ([, r]) => <span title="of both: what is there more than once">{bytes(r.copies_bytes)}</span> },
  ];
  const part: Column<Row> = {
    name: "Share", value: ([, r]) => r.managed_bytes, cell: ([, r]) => <Meter share={r.managed_bytes / Math.max(1, held)} text={share(r.managed_bytes / Math.max(1, held))} fill="fill-managed" />,
  };
  if (by === "worker") return [
    { name: "Worker", value: ([, r]) => r.name, cell: ([, r]) => <WorkerLink name={r.name} /> },
    { name: "Use of the limit", cell: ([, r]) => <Stack parts={memoryParts(r, r.limit_bytes ?? 0)} /> },
    ...values,
    { name: "On disk", number: true, value: ([, r]) => r.spilled_bytes, cell: ([, r]) => bytes(r.spilled_bytes) },
    { name: "Other", number: true, value: ([, r]) => r.unmanaged_bytes, cell: ([, r]) => bytes(r.unmanaged_bytes) },
    { name: "Limit", number: true, value: ([, r]) => r.limit_bytes, cell: ([, r]) => bytes(r.limit_bytes) },
  ];
  if (by === "group") return [
    { name: "Group", value: ([, r]) => r.name ?? r.label, cell: ([id, r]) => <GroupName id={id} label={r.name ?? r.label ?? id} /> },
    part, ...values, ...elsewhere,
    { name: "Values", number: true, value: ([, r]) => r.count, cell: ([, r]) => count(r.count) },
  ];
  return [
    { name: "Key", value: ([id]) => id, cell: ([id]) => <KeyLink taskKey={id} /> },
    { name: "Label", value: ([, r]) => r.label ?? r.name, text: true },
    { name: "Held by", value: ([, r]) => r.holders, text: true, cell: ([, r]) => <span title={r.holders}>{r.holders || "–"}</span> },
    { name: "Size", number: true, value: ([, r]) => r.bytes, cell: ([, r]) => bytes(r.bytes) },
    part, ...values, ...elsewhere,
  ];
}

function Over() {
  const { body } = useSeries(["managed_bytes", "spilled_bytes", "unmanaged_bytes"]);
  if (!body || body.t.length < 2) return null;
  return (
    <Panel title="All workers over time">
      <Chart title="Memory of all workers" t={body.t} unit={bytes} lines={[
        { name: "managed", fill: "managed", values: body.series.managed_bytes ?? [] }, { name: "spilled", fill: "spilled", values: body.series.spilled_bytes ?? [] },
        { name: "unmanaged", fill: "unmanaged", values: body.series.unmanaged_bytes ?? [] },
      ]} />
    </Panel>
  );
}
