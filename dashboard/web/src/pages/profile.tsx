// Where tasks spend their time: sampled stacks as a flame graph.

import { useEffect, useState } from "preact/hooks";
import { cursor, span } from "../cursor";
import { layOut, type Flame } from "../draw/flame";
import { withQuery } from "../feed/http";
import { useAsked, useFeed } from "../feed/use";
import type { Groups, Profile, ProfileNode, Workers } from "../feed/types";
import { Awaiting, Empty, Page, Panel } from "../parts/basics";
import { Canvas, fitted, type Surface } from "../parts/canvas";
import { Figure } from "../parts/figure";
import { plural, seconds, share } from "../parts/format";
import { Table } from "../parts/table";
import { route } from "../router";
import { palette } from "../theme";

const ROW = 20;
const EVERY_MS = 2000;
// Up to the moment that all pages show.
const TIMES = [["", "all"], ["shown", "as in the charts"], ["10000000", "last 10 s"], ["60000000", "last minute"], ["600000000", "last 10 min"]] as const;

export function ProfilePage() {
  const { query } = route.value;
  const [worker, setWorker] = useState(query.get("worker") ?? "");
  const [group, setGroup] = useState(query.get("group") ?? "");
  const [time, setTime] = useState("");
  useEffect(() => { setWorker(query.get("worker") ?? ""); setGroup(query.get("group") ?? ""); }, [query]);
  const { body: workers } = useFeed<Workers>("workers");
  const { body: groups } = useFeed<Groups>("groups");
  const { body, error } = useAsked<Profile>(withQuery("profile", { worker, group, t1: cursor.value, span: time && (time === "shown" ? span.value : time) }), EVERY_MS);
  return (
    <Page title="Profile" note={body?.samples ? `${plural(body.samples, "sample")}, one each ${seconds(body.period_s)} of CPU time` : "sampled stacks of running tasks"}
      tools={
        <>
          <label>Worker{" "}
            <select value={worker} onChange={(event) => setWorker(event.currentTarget.value)}>
              <option value="">all</option>
              {Object.values(workers?.workers ?? {}).map(({ name }) => <option key={name} value={name}>{name}</option>)}
            </select>
          </label>
          <label>Group{" "}
            <select value={group} onChange={(event) => setGroup(event.currentTarget.value)}>
              <option value="">all</option>
              {Object.entries(groups?.groups ?? {}).map(([id, { label }]) => <option key={id} value={id}>{label}</option>)}
            </select>
          </label>
          <label>Time{" "}
            <select value={time} onChange={(event) => setTime(event.currentTarget.value)}>
              {TIMES.map(([value, name]) => <option key={value} value={value}>{name}</option>)}
            </select>
          </label>
        </>
      }>
      <Panel title="Flame graph" note={body?.samples ? "wider is more time; press a frame to look into it" : undefined}>
        {!body ? <Awaiting error={error} />
          : body.samples === 0 ? <Empty title="No samples here">{body.note || "Stacks are sampled while tasks run. Run something longer than a few milliseconds, or widen the filter."}</Empty>
            : <FlameGraph profile={body} />}
      </Panel>
    </Page>
  );
}

function FlameGraph({ profile }: { profile: Profile }) {
  const [zoomed, setZoomed] = useState<string[]>([]);
  const [tip, setTip] = useState<{ frame: Flame; x: number; y: number } | null>(null);
  const root = zoomed.reduce<ProfileNode>((node, name) => node.children?.find((child) => child.name === name) ?? node, profile.root);
  const frames = layOut(root);
  const rows = 1 + Math.max(...frames.map(({ depth }) => depth));
  const total = Math.max(1, profile.root.value);
  const top = [...frames].sort((a, b) => b.self - a.self)[0]!;
  const says = `Flame graph of ${plural(profile.samples, "sample")}; most time by itself took ${top.node.name} with ${share(top.self / total)}.`;
  const draw = ({ context, width }: Surface) => {
    const colours = palette.value;
    for (const { node, depth, from, to } of frames) {
      const [x, wide] = [from * width, (to - from) * width];
      if (wide < 0.5) continue;
      context.fillStyle = colours.groups[tint(node.name)]!;
      context.fillRect(x, depth * ROW, Math.max(0.5, wide - 1), ROW - 1);
      context.fillStyle = colours.onColour;
      if (wide > 30) context.fillText(fitted(context, node.name, wide - 8), x + 4, (depth + 0.5) * ROW);
    }
  };
  const at = (x: number, y: number, width: number) => {
    const depth = Math.floor(y / ROW);
    return frames.find((frame) => frame.depth === depth && x >= frame.from * width && x < frame.to * width);
  };
  return (
    <Figure says={says} tools={zoomed.length > 0 && <button onClick={() => setZoomed([])}>Whole graph</button>}
      table={() => <FrameTable frames={layOut(profile.root)} total={total} period={profile.period_s} />}>
      <Canvas height={rows * ROW} draw={draw} onLeave={() => setTip(null)}
        onMove={(x, y, width) => { const frame = at(x, y, width); setTip(frame ? { frame, x: Math.min(x, width - 220), y } : null); }}
        onPress={(x, y, width) => { const frame = at(x, y, width); if (frame) setZoomed([...zoomed, ...frame.path]); }} />
      {tip && (
        <div class="tip" style={{ left: `${tip.x + 12}px`, top: `${tip.y + 14}px` }}>
          <strong>{tip.frame.node.name}</strong>
          <span>{share(tip.frame.node.value / total)} of the time, {seconds(tip.frame.node.value * profile.period_s)}</span>
          <span>{share(tip.frame.self / total)} by itself</span>
        </div>
      )}
    </Figure>
  );
}

// Neighbouring frames differ, one function looks the same everywhere.
const TINTS = [0, 1, 2, 6, 7, 8, 9, 10];
function tint(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; ++i) hash = (hash * 31 + name.charCodeAt(i)) | 0;
  return TINTS[Math.abs(hash) % TINTS.length]!;
}

function FrameTable({ frames, total, period }: { frames: Flame[]; total: number; period: number }) {
  const sums = new Map<string, { name: string; self: number; whole: number }>();
  for (const { node, self, recursive } of frames) {
    const row = sums.get(node.name) ?? { name: node.name, self: 0, whole: 0 };
    row.self += self;
    if (!recursive) row.whole += node.value;
    sums.set(node.name, row);
  }
  return (
    <Table name="Functions" rows={[...sums.values()]} id={(row) => row.name} sort="By itself" columns={[
      { name: "Function", value: (row) => row.name, text: true },
      { name: "By itself", number: true, value: (row) => row.self, cell: (row) => seconds(row.self * period) },
      { name: "Share", number: true, value: (row) => row.self, cell: (row) => share(row.self / total) },
      { name: "With callees", number: true, value: (row) => row.whole, cell: (row) => seconds(row.whole * period) },
    ]} />
  );
}
