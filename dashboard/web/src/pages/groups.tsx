// All tasks of one label are a group: how many, how long, how large, how often again.

import { useFeed } from "../feed/use";
import type { Group, Groups } from "../feed/types";
import { Awaiting, Empty, GroupName, Legend, Page, Panel, Stack, stateParts, Stats } from "../parts/basics";
import { bytes, count, dateTime, plural, seconds } from "../parts/format";
import { Table } from "../parts/table";
import { address } from "../router";
import { RasterPanel } from "./raster";

type Row = [id: string, group: Group];

export function GroupsPage({ id }: { id: string }) {
  const { body, error } = useFeed<Groups>("groups");
  if (!body) return <Page title="Groups"><Awaiting error={error} /></Page>;
  const rows = Object.entries(body.groups);
  if (id) return <OneGroup id={id} group={body.groups[id]} />;
  return (
    <Page title="Groups" note={plural(rows.length, "label")}>
      <Panel title="Groups" note="durations are of attempts that ended" tools={<Legend items={[["stored", "fill-stored"], ["assigned", "fill-assigned"], ["waiting", "fill-waiting"], ["failed", "fill-failed"]]} />}>
        {rows.length === 0
          ? <Empty title="No groups yet">Every task has a label: the function's name, or the one you give with <code>{'{.label = "…"}'}</code>. Tasks with one label are a group.</Empty>
          : <GroupTable rows={rows} />}
      </Panel>
    </Page>
  );
}

function GroupTable({ rows }: { rows: Row[] }) {
  return (
    <Table name="Groups" rows={rows} id={([id]) => id} sort="Run time" columns={[
      { name: "Label", value: ([, g]) => g.label, cell: ([id, g]) => <GroupName id={id} label={g.label} /> },
      { name: "State", cell: ([, g]) => <Stack parts={stateParts(g.counts, g.total)} /> },
      { name: "Tasks", number: true, value: ([, g]) => g.total, cell: ([, g]) => count(g.total) },
      { name: "Finished", number: true, value: ([, g]) => g.finished, cell: ([, g]) => count(g.finished) },
      { name: "Failed tasks", number: true, value: ([, g]) => g.failed_tasks, cell: ([, g]) => <span class={g.failed_tasks ? "bad" : ""}>{count(g.failed_tasks)}</span> },
      { name: "Failed attempts", number: true, value: ([, g]) => g.failed_attempts, cell: ([, g]) => count(g.failed_attempts) },
      { name: "Retried", number: true, value: ([, g]) => g.retried, cell: ([, g]) => count(g.retried) },
      { name: "p50", number: true, value: ([, g]) => g.run_s.p50, cell: ([, g]) => seconds(g.run_s.p50) },
      { name: "p99", number: true, value: ([, g]) => g.run_s.p99, cell: ([, g]) => seconds(g.run_s.p99) },
      { name: "Longest", number: true, value: ([, g]) => g.run_s.max, cell: ([, g]) => seconds(g.run_s.max) },
      { name: "Run time", number: true, value: ([, g]) => g.run_s.sum, cell: ([, g]) => seconds(g.run_s.sum) },
      { name: "Values", number: true, value: ([, g]) => g.bytes.sum, cell: ([, g]) => bytes(g.bytes.sum) },
      { name: "Moved", number: true, value: ([, g]) => g.transfer_bytes, cell: ([, g]) => bytes(g.transfer_bytes) },
    ]} />
  );
}

function OneGroup({ id, group }: { id: string; group: Group | undefined }) {
  if (!group) return <Page title="Groups"><Empty title="This group is not known at this time"><a href="#/groups">All groups</a>, or follow the present.</Empty></Page>;
  return (
    <Page title={group.label} note={<><a href="#/groups">All groups</a> · first seen {dateTime(group.first)}</>}
      tools={<><a class="button" href={address("tasks", null, { label: group.label })}>List tasks</a><a class="button" href={address("profile", null, { group: id })}>Profile</a></>}>
      <Stats figures={[
        { name: "Tasks", value: count(group.total), note: `${count(group.counts.stored)} stored, ${count(group.counts.assigned)} assigned` },
        { name: "Failed tasks", value: count(group.failed_tasks), note: `${plural(group.failed_attempts, "failed attempt")}, ${count(group.retried)} repeated` },
        { name: "p50 of an attempt", value: seconds(group.run_s.p50), note: `mean ${seconds(group.run_s.mean)}` },
        { name: "p99 of an attempt", value: seconds(group.run_s.p99), note: `longest ${seconds(group.run_s.max)}` },
        { name: "Run time together", value: seconds(group.run_s.sum) },
        { name: "Values", value: bytes(group.bytes.sum), note: `mean ${bytes(group.bytes.mean)}` },
        { name: "Moved", value: bytes(group.transfer_bytes) },
      ]} />
      <RasterPanel group={id} label={group.label} />
    </Page>
  );
}
