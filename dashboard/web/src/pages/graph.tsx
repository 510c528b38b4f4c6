// How the work hangs together: groups always, a group as a raster, and after the run the path that took the time.

import { useState } from "preact/hooks";
import { useFeed, useAsked } from "../feed/use";
import type { CriticalPath, Graph, GraphNode } from "../feed/types";
import { Layers } from "../draw/layers";
import { cursor } from "../cursor";
import { groupColour } from "../feed/groups";
import { withQuery } from "../feed/http";
import { Awaiting, Empty, GroupName, KeyLink, Legend, Page, Panel, Stack, WorkerLink } from "../parts/basics";
import { Figure } from "../parts/figure";
import { count, plural, seconds, share, short } from "../parts/format";
import { Table } from "../parts/table";
import { address } from "../router";
import { RasterPanel } from "./raster";

const NODES_SHOWN = 200;

export function GraphPage({ id }: { id: string }) {
  const { body, error } = useFeed<Graph>("graph");
  if (!body) return <Page title="Graph"><Awaiting error={error} /></Page>;
  const nodes = Object.entries(body.nodes);
  const edges = Object.values(body.edges);
  const selected = body.nodes[id];
  return (
    <Page title="Graph" note={`${plural(nodes.length, "group")}, ${plural(edges.length, "kind")} of input`}>
      <Panel title="Groups" note="each box is all tasks of one label; open one to see every task">
        {nodes.length === 0
          ? <Empty title="No graph yet">Submit tasks that take each other's futures as arguments; the labels and what flows between them appear here.</Empty>
          : <GroupGraph body={body} selected={id} />}
      </Panel>
      {selected && <RasterPanel key={id} group={id} label={selected.label} />}
      {nodes.length > 0 && <PathPanel />}
    </Page>
  );
}

// Those that hang together first, then those with most to do, then the largest; the chosen one in any case.
function mostImportant(body: Graph, selected: string, shown: number): [id: string, node: GraphNode][] {
  const joined = new Set(Object.values(body.edges).flatMap(({ from, to }) => (from === to ? [] : [String(from), String(to)])));
  const rank = (id: string): number => (id === selected ? 2 : joined.has(id) ? 1 : 0);
  return Object.entries(body.nodes).sort(([x, a], [y, b]) => rank(y) - rank(x) || b.open - a.open || b.total - a.total).slice(0, shown)
    .sort(([x], [y]) => Number(x) - Number(y));  // boxes stay where they are when numbers change
}

function GroupGraph({ body, selected }: { body: Graph; selected: string }) {
  const [most, setMost] = useState(NODES_SHOWN);
  const shown = mostImportant(body, selected, most);
  const left = Object.keys(body.nodes).length - shown.length;
  const ids = new Set(shown.map(([id]) => id));
  const edges = Object.values(body.edges).map(({ from, to, count: weight }) => ({ from: String(from), to: String(to), weight })).filter(({ from, to }) => ids.has(from) && ids.has(to));
  return (
    <>
      <Layers name="Groups and what flows between them"
        nodes={shown.map(([id, node]) => ({
          id, depth: node.depth, href: address("graph", id), current: id === selected, title: node.label,
          edge: `var(--group-${groupColour(id)})`,
          content: (
            <>
              <strong>{node.label}</strong>
              <Stack parts={[{ share: node.done / node.total, fill: "fill-stored" }, { share: node.failed / node.total, fill: "fill-failed" }]} />
              <span class="dim">{short(node.done)} of {short(node.total)} tasks{node.failed ? `, ${short(node.failed)} failed` : ""}</span>
            </>
          ),
        }))}
        edges={edges} />
      <div class="tools"><Legend items={[["done", "fill-stored"], ["failed", "fill-failed"]]} /></div>
      {left > 0 && (
        <p class="tools">
          <button onClick={() => setMost(most + NODES_SHOWN)}>Show {count(Math.min(NODES_SHOWN, left))} more groups</button>
          <span class="dim">{plural(left, "other group")} with less to do; all are on <a href="#/groups">Groups</a></span>
        </p>
      )}
      <details>
        <summary>Show as table</summary>
        <Table name="What flows between groups" rows={Object.entries(body.edges)} id={([id]) => id} sort="Inputs" columns={[
          { name: "From", value: ([, edge]) => body.nodes[edge.from]?.label, cell: ([, edge]) => <a href={address("graph", edge.from)}>{body.nodes[edge.from]?.label}</a> },
          { name: "To", value: ([, edge]) => body.nodes[edge.to]?.label, cell: ([, edge]) => <a href={address("graph", edge.to)}>{body.nodes[edge.to]?.label}</a> },
          { name: "Inputs", number: true, value: ([, edge]) => edge.count, cell: ([, edge]) => count(edge.count) },
        ]} />
      </details>
    </>
  );
}

function PathPanel() {
  const { body, error } = useAsked<CriticalPath>(withQuery("critical_path", { t1: cursor.value }), 5000);
  if (!body) return <Panel title="Critical path"><Awaiting error={error} /></Panel>;
  const total = Math.max(body.span_s, 1e-9);
  const says = `The path of ${plural(body.path.length, "task")} that decided the end took ${seconds(body.span_s)}: ${seconds(body.run_s)} running, ${seconds(body.wait_s)} waiting.`;
  return (
    <Panel title="Critical path" note={body.path.length ? says : undefined}>
      {body.path.length === 0 ? <Empty title="No task has ended yet">When one has, this is the chain of tasks that decided when the work ended.</Empty> : (
        <Figure says={says} legend={<Legend items={[[`running ${share(body.run_s / total)}`, "fill-stored"], [`waiting ${share(body.wait_s / total)}`, "fill-assigned"]]} />}
          table={() => <PathTable body={body} />}>
          <div class="path-row">
            {body.path.slice(-300).flatMap((step) => [
              <span key={`${step.key}-`} class="fill-assigned" style={{ width: `${step.wait_s / total * 100}%` }} />,
              <span key={step.key} class="fill-stored" style={{ width: `${step.run_s / total * 100}%`, boxShadow: "inset -1px 0 0 var(--surface)" }} />,
            ])}
          </div>
        </Figure>
      )}
    </Panel>
  );
}

function PathTable({ body }: { body: CriticalPath }) {
  return (
    <Table name="Critical path, first task first" rows={body.path} id={(row) => row.key} columns={[
      { name: "Group", value: (row) => row.label, cell: (row) => <GroupName id={row.group} label={row.label} /> },
      { name: "Task", cell: (row) => <KeyLink taskKey={row.key} /> },
      { name: "Worker", value: (row) => row.worker, cell: (row) => <WorkerLink name={row.worker} /> },
      { name: "Waited", number: true, value: (row) => row.wait_s, cell: (row) => seconds(row.wait_s) },
      { name: "Ran", number: true, value: (row) => row.run_s, cell: (row) => seconds(row.run_s) },
    ]} />
  );
}
