// One task: where it is and why, what it needs and feeds, and how it failed.

import { useState } from "preact/hooks";
import { cursor } from "../cursor";
import { Layers } from "../draw/layers";
import { control, FeedError, withQuery } from "../feed/http";
import { hello } from "../feed/socket";
import { useAsked, useFeed } from "../feed/use";
import type { Explain, Lineage, OneTask as Body, Story, Task } from "../feed/types";
import { Awaiting, Empty, Facts, GroupName, KeyLink, Page, Panel, State, Stats, WorkerLink } from "../parts/basics";
import { announce } from "../parts/announce";
import { bytes, clockTime, count, dateTime, micros, plural, seconds, shortKey } from "../parts/format";
import { Table } from "../parts/table";
import { address } from "../router";

const EVERY_MS = 2000;
const KEY = /^[0-9a-f]{32}$/;

export function OneTask({ taskKey }: { taskKey: string }) {
  const { body, error } = useFeed<Body>(`tasks/${taskKey}`);
  if (!body?.task) return <Page title={`Task ${shortKey(taskKey)}`}><Awaiting error={error} /><p><a href="#/tasks">Search tasks</a></p></Page>;
  const { task } = body;
  const waited = task.start == null ? null : task.start - task.created;
  return (
    <Page title={task.label || shortKey(task.key)} note={<code class="wrap">{task.key}</code>} tools={hello.value?.control ? <Verbs task={task} /> : undefined}>
      <Stats figures={[
        { name: "State", id: "state", value: <State name={task.state} />, note: plural(task.attempts, "attempt") },
        { name: "Worker", value: <WorkerLink name={task.worker} /> },
        { name: "Ran", value: seconds(task.run_s), note: task.start == null ? "has not begun" : `began ${clockTime(task.start, 1e3)}` },
        { name: "Waited before", value: micros(waited), note: `created ${dateTime(task.created)}` },
        { name: "Value", value: bytes(task.bytes) },
      ]} />
      {task.error && <ErrorPanel error={task.error} />}
      <div class="two">
        <div class="column">
          <LineagePanel taskKey={task.key} />
          <StoryPanel taskKey={task.key} />
        </div>
        <div class="column">
          <ExplainPanel taskKey={task.key} />
          <Panel title="Facts">
            <Facts facts={[
              ["Group", <GroupName id={task.group} label={task.label} />],
              ["Unblocked by", task.unblocked_by && KEY.test(task.unblocked_by) ? <KeyLink taskKey={task.unblocked_by} /> : "nothing: its inputs were there"],
              ["Ended", dateTime(task.end)],
              ["In a terminal", <code>weft explain {shortKey(task.key)}</code>],
            ]} />
          </Panel>
        </div>
      </div>
    </Page>
  );
}

function Verbs({ task }: { task: Task }) {
  const [problem, setProblem] = useState("");
  const send = async (verb: string, body: unknown) => {
    try {
      await control(verb, body);
      announce(`Asked to ${verb} the task.`);
      setProblem("");
    } catch (error) {
      if (!(error instanceof FeedError)) throw error;
      setProblem(error.message);
    }
  };
  return (
    <>
      {task.state === "failed" && <button onClick={() => send("retry", { keys: [task.key] })}>Retry</button>}
      {["waiting", "ready", "assigned"].includes(task.state)
        && <button onClick={() => send("cancel", { keys: [task.key], reason: "from the dashboard" })}>Cancel</button>}
      {problem && <span class="bad" role="alert">{problem}</span>}
    </>
  );
}

function ErrorPanel({ error }: { error: NonNullable<Task["error"]> }) {
  return (
    <Panel title={error.type || error.kind} note={<>{error.kind}, attempt {count(error.attempt)} on <WorkerLink name={error.worker} />, {dateTime(error.t)}</>}>
      <div class="notice error"><p>{error.message}</p></div>
      {error.traceback && <><h3>Where it was thrown</h3><pre class="code" tabIndex={0}>{error.traceback}</pre></>}
      {error.output && <><h3>Its last output</h3><pre class="code" tabIndex={0}>{error.output}</pre></>}
      <p class="dim">Run it again here, with its real inputs: <code>weft debug KEY</code>.</p>
    </Panel>
  );
}

function ExplainPanel({ taskKey }: { taskKey: string }) {
  const { body, error } = useAsked<Explain>(withQuery(`tasks/${taskKey}/explain`, { t1: cursor.value }), EVERY_MS);
  const more = Object.entries(body ?? {}).filter(([name, value]) => !["key", "label", "state", "why", "error", "source", "t0", "t1", "live"].includes(name) && !isEmpty(value));
  return (
    <section class="panel" id="explain" tabIndex={-1} aria-label="Why">
      <header><h2>Why</h2><span class="dim">{body?.source === "log" ? "as far as the records tell" : "the scheduler's own answer"}</span></header>
      {!body ? <Awaiting error={error} /> : (
        <>
          <p data-id="why" class="wrap">{body.why}</p>
          {more.length > 0 && <Facts facts={more.map(([name, value]) => [sentence(name), <Value value={value} />])} />}
        </>
      )}
    </section>
  );
}

const sentence = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
const isEmpty = (value: unknown): boolean => value == null || value === "" || (Array.isArray(value) && value.length === 0);

// A part of the scheduler's answer whose shape we need not know: keys become links, all else is text.
function Value({ value }: { value: unknown }) {
  if (typeof value === "string" && KEY.test(value)) return <KeyLink taskKey={value} />;
  if (Array.isArray(value)) return <ul>{value.slice(0, 20).map((item, i) => <li key={i}><Value value={item} /></li>)}</ul>;
  if (typeof value === "object" && value !== null) {
    return <>{Object.entries(value).map(([name, part], i) => <span key={name}>{i > 0 && ", "}<span class="dim">{name}</span> <Value value={part} /></span>)}</>;
  }
  return <bdi class="wrap">{typeof value === "number" ? count(value) : String(value)}</bdi>;
}

function LineagePanel({ taskKey }: { taskKey: string }) {
  const [hops, setHops] = useState(2);
  const { body, error } = useAsked<Lineage>(withQuery(`tasks/${taskKey}/lineage`, { hops }), EVERY_MS);
  const nodes = Object.entries(body?.nodes ?? {});
  return (
    <Panel title="Inputs and dependents" note={body ? `${plural(nodes.length, "task")} within ${plural(hops, "step")}${body.cut ? ", cut at 500" : ""}` : undefined}
      tools={<>{[1, 2, 4].map((n) => <button key={n} aria-pressed={hops === n} onClick={() => setHops(n)}>{plural(n, "step")}</button>)}</>}>
      {!body ? <Awaiting error={error} /> : (
        <Layers name="Inputs to the left, dependents to the right"
          nodes={nodes.map(([key, node]) => ({
            id: key, depth: node.distance, href: address("tasks", key), current: key === taskKey, title: `${node.label} ${key}`, edge: `var(--state-${node.state})`,
            content: <><strong>{node.label}</strong><span class="dim"><State name={node.state} /> <span class="mono">{shortKey(key)}</span></span></>,
          }))}
          edges={body.edges.map(([from, to]) => ({ from, to, weight: 1 }))} />
      )}
    </Panel>
  );
}

function StoryPanel({ taskKey }: { taskKey: string }) {
  const { body, error } = useAsked<Story>(`tasks/${taskKey}/story`, EVERY_MS);
  const rows = body?.story ?? [];
  return (
    <Panel title="Story" note="every change of its state">
      {!body ? <Awaiting error={error} />
        : rows.length === 0 ? <Empty title="Its story is no longer held" />
          : (
            <Table name="Story" rows={rows.map((row, i) => ({ ...row, i }))} id={(row) => row.i} columns={[
              { name: "Time", number: true, value: (row) => row.t, cell: (row) => clockTime(row.t, 1) },
              { name: "After", number: true, cell: (row) => (row.i > 0 ? micros(row.t - rows[row.i - 1]!.t) : "–") },
              { name: "From", value: (row) => row.from, cell: (row) => <State name={row.from} /> },
              { name: "To", value: (row) => row.to, cell: (row) => <State name={row.to} /> },
              { name: "Worker", value: (row) => row.worker, cell: (row) => <WorkerLink name={row.worker} /> },
              { name: "Attempt", number: true, value: (row) => row.attempt, cell: (row) => count(row.attempt) },
            ]} />
          )}
    </Panel>
  );
}
