// The small words of the page: panel, number, pill, meter, empty state, notice.

import type { ComponentChildren } from "preact";
import { address } from "../router";
import { groupColour } from "../feed/groups";
import type { FeedError } from "../feed/http";
import { shortKey } from "./format";
import { TASK_STATES, type StateCounts } from "../feed/types";

export function Page(props: { title: string; note?: ComponentChildren; tools?: ComponentChildren; children: ComponentChildren }) {
  return (
    <>
      <div class="head">
        <h1>{props.title}</h1>
        {props.note && <p>{props.note}</p>}
        {props.tools && <div class="tools">{props.tools}</div>}
      </div>
      {props.children}
    </>
  );
}

export function Panel(props: { title: string; note?: ComponentChildren; tools?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section class="panel" aria-label={props.title}>
      <header>
        <h2>{props.title}</h2>
        {props.note && <span class="dim">{props.note}</span>}
        {props.tools && <div class="tools">{props.tools}</div>}
      </header>
      {props.children}
    </section>
  );
}

export interface Figure { name: string; value: ComponentChildren; note?: ComponentChildren; id?: string }

/** Numbers in a row; `id` names one for scripts and tests. */
export function Stats({ figures }: { figures: Figure[] }) {
  return (
    <dl class="stats">
      {figures.map(({ name, value, note, id }) => (
        <div class="stat" key={name}>
          <dt>{name}</dt>
          <dd data-id={id}>{value}</dd>
          {note !== undefined && <dd class="note">{note}</dd>}
        </div>
      ))}
    </dl>
  );
}

export function Facts({ facts }: { facts: [string, ComponentChildren][] }) {
  return <dl class="facts">{facts.flatMap(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name}:`}>{value}</dd>])}</dl>;
}

const MARKS: Record<string, [mark: string, tone: string]> = {
  running: ["▶", "good"], stored: ["✓", "good"], assigned: ["▶", ""], ready: ["○", ""], waiting: ["…", "dim"],
  released: ["·", "dim"], forgotten: ["·", "dim"], failed: ["✕", "bad"], paused: ["‖", "warn"], retiring: ["↓", "warn"],
  disconnected: ["?", "warn"], lost: ["✕", "bad"], error: ["✕", "bad"], warning: ["!", "warn"], info: ["i", ""], debug: ["·", "dim"],
};

/** A state, told by a sign and a word; the colour only repeats it. */
export function State({ name }: { name: string }) {
  const [mark, tone] = MARKS[name] ?? ["·", ""];
  return <span class={`pill ${tone}`} data-mark={mark}>{name}</span>;
}

export interface Part { share: number; fill: string }

/** A bar of parts; its numbers stand beside it, so it is hidden from readers. */
export function Stack({ parts }: { parts: Part[] }) {
  return (
    <div class="stack" aria-hidden="true">
      {parts.map(({ share, fill }) => <span key={fill} class={fill} style={{ width: `${Math.min(1, Math.max(0, share || 0)) * 100}%` }} />)}
    </div>
  );
}

export function Meter({ share, text, fill = "fill-accent" }: { share: number; text: string; fill?: string }) {
  return <div class="with-meter"><Stack parts={[{ share, fill }]} /><span>{text}</span></div>;
}

export function stateParts(counts: StateCounts, total: number): Part[] {
  const of = Math.max(total, 1);
  const held = TASK_STATES.reduce((sum, state) => sum + counts[state], 0);
  const forgotten = Math.max(0, total - held);  // they were done, and nobody wants them any more
  return [...TASK_STATES].reverse().map((state) => ({ share: (counts[state] + (state === "stored" ? forgotten : 0)) / of, fill: `fill-${state}` }));
}

export function Legend({ items }: { items: [name: string, fill: string][] }) {
  return (
    <ul class="legend">
      {items.map(([name, fill]) => <li key={name}><span class={`swatch ${fill}`} aria-hidden="true" />{name}</li>)}
    </ul>
  );
}

/** A group's colour and its label. */
export function GroupName({ id, label }: { id: string | number; label: string }) {
  return (
    <span class="named">
      <span class="swatch" aria-hidden="true" style={{ background: `var(--group-${groupColour(id)})` }} />
      <a href={address("groups", id)} title={label}>{label}</a>
    </span>
  );
}

export function KeyLink({ taskKey, label }: { taskKey: string; label?: string }) {
  return <a class={label ? "" : "key"} href={address("tasks", taskKey)} title={taskKey}>{label || shortKey(taskKey)}</a>;
}
export function WorkerLink({ name }: { name: string | null | undefined }) {
  return name ? <a class="worker" href={address("workers", name)} title={name}>{name}</a> : <span class="dim">–</span>;
}

/** Nothing here: says why, and what to do first. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return <div class="empty"><strong>{title}</strong>{children && <p>{children}</p>}</div>;
}

export function Loading() { return <div class="empty" role="status"><p>Asking the scheduler…</p></div>; }

export function Problem({ error }: { error: FeedError }) {
  return (
    <div class="notice error" role="alert">
      <p>{error.message}</p>
    </div>
  );
}

/** What stands in place of a body that is not there yet. */
export function Awaiting({ error }: { error: FeedError | null }) { return error ? <Problem error={error} /> : <Loading />; }
