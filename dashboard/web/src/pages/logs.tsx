// The merged logs of scheduler and workers: filtered by the server, followed while the newest line is in sight.

import { useEffect, useRef, useState } from "preact/hooks";
import { withQuery } from "../feed/http";
import { useList } from "../feed/follow";
import { useFeed } from "../feed/use";
import type { LogLine, Workers } from "../feed/types";
import { Awaiting, Empty, KeyLink, Page, Panel, State, WorkerLink } from "../parts/basics";
import { clockTime, count, plural } from "../parts/format";

const LEVELS: Record<number, string> = { 3: "error", 4: "warning", 6: "info", 7: "debug" };
const LINES_SHOWN = 1000;
const NEAR_END_PX = 40;

export function LogsPage() { return <Page title="Logs" note="scheduler and workers, merged by time"><LogPanel /></Page>; }

/** The log, or only that of one worker. */
export function LogPanel({ worker: only }: { worker?: string }) {
  const [worker, setWorker] = useState(only ?? "");
  const [level, setLevel] = useState("");
  const [text, setText] = useState("");
  const { body: workers } = useFeed<Workers>("workers");
  const { items, error } = useList<LogLine>(withQuery("logs", { worker, level, q: text, limit: LINES_SHOWN }), "lines");
  return (
    <Panel title={only ? `Log of ${only}` : "Log"} note={items ? plural(items.length, "line") : undefined} tools={
      <>
        <label>Contains <input type="search" size={14} value={text} onInput={(event) => setText(event.currentTarget.value)} /></label>
        {!only && (
          <label>Worker{" "}
            <select value={worker} onChange={(event) => setWorker(event.currentTarget.value)}>
              <option value="">all</option>
              {Object.values(workers?.workers ?? {}).map(({ name }) => <option key={name} value={name}>{name}</option>)}
            </select>
          </label>
        )}
        <label>Level{" "}
          <select value={level} onChange={(event) => setLevel(event.currentTarget.value)}>
            <option value="">all</option>
            {Object.entries(LEVELS).map(([number, name]) => <option key={number} value={number}>{name}{number === "3" ? "" : " and worse"}</option>)}
          </select>
        </label>
      </>
    }>
      {!items ? <Awaiting error={error} />
        : items.length === 0 ? <Empty title="No lines">{text || level || worker ? "Take a filter away, or follow the present." : <>Workers send what they log; a task says something with <code>weft::this_task().log()</code>.</>}</Empty>
          : <Lines lines={items} />}
    </Panel>
  );
}

function Lines({ lines }: { lines: LogLine[] }) {
  const list = useRef<HTMLUListElement>(null);
  const [followed, setFollowed] = useState(true);
  useEffect(() => { if (followed) list.current!.scrollTop = list.current!.scrollHeight; });
  const shown = lines.slice(-LINES_SHOWN);
  return (
    <>
      <ul class="lines" ref={list} tabIndex={0} aria-label="Log lines, newest last"
        onScroll={({ currentTarget: at }) => setFollowed(at.scrollHeight - at.scrollTop - at.clientHeight < NEAR_END_PX)}>
        {shown.map((line) => (
          <li key={line.n} class={`level-${line.level}`}>
            <span class="dim">{clockTime(line.t)}</span>
            <State name={LEVELS[line.level] ?? `level ${line.level}`} />
            <WorkerLink name={line.worker} />
            <span class="text">{line.text}{line.key && <> <KeyLink taskKey={line.key} /></>}</span>
          </li>
        ))}
      </ul>
      <p class="dim">
        {lines.length > shown.length && `The newest ${count(shown.length)} lines. `}
        {followed ? "Following the newest line." : <button onClick={() => setFollowed(true)}>Follow the newest line</button>}
      </p>
    </>
  );
}
