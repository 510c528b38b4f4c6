// Who sends values to whom: a matrix of links, the busiest of them, and shuffles, where many readers each take a part of many values.

import { useState } from "preact/hooks";
import { useFeed } from "../feed/use";
import type { Link, Network, Shuffle } from "../feed/types";
import { Awaiting, Empty, GroupName, Page, Panel, Stack, Stats } from "../parts/basics";
import { Canvas, fitted, rem, type Surface } from "../parts/canvas";
import { Figure } from "../parts/figure";
import { bytes, bytesPerSecond, count, perSecond, plural } from "../parts/format";
import { Table } from "../parts/table";
import { palette } from "../theme";

const WAYS = [["bytes_per_s", "Now"], ["bytes_1min", "1 min"], ["bytes_total", "Total"]] as const;
type Way = (typeof WAYS)[number][0];
const CELL_MAX = 34;
const CELL_MIN = 3;
const TEXT_CELL_MIN = 11;

export function NetworkPage() {
  const { body, error } = useFeed<Network>("network");
  const [way, setWay] = useState<Way>("bytes_total");
  if (!body) return <Page title="Network"><Awaiting error={error} /></Page>;
  const links = Object.values(body.links);
  const unit = way === "bytes_per_s" ? bytesPerSecond : bytes;
  const sum = (name: Way) => links.reduce((total, link) => total + link[name], 0);
  return (
    <Page title="Network" note="values that workers fetched from each other"
      tools={<>{WAYS.map(([id, name]) => <button key={id} aria-pressed={way === id} onClick={() => setWay(id)}>{name}</button>)}</>}>
      <Stats figures={[
        { name: "Now", value: bytesPerSecond(sum("bytes_per_s")) },
        { name: "Last minute", value: bytes(sum("bytes_1min")) },
        { name: "Total", id: "link-bytes", value: bytes(sum("bytes_total")) },
        { name: "From unknown holders", value: bytes(body.unknown_source_bytes) },
        { name: "Recalled tasks", value: count(body.recalls.total), note: `${perSecond(body.recalls.per_s)} now` },
      ]} />
      <div class={links.length ? "two" : "column"}>
      <Panel title="Links" note="a row sends, a column receives">
        {links.length === 0
          ? <Empty title="No value has moved">Tasks run where their inputs are, so often nothing moves. A link appears when a worker fetches a value of another.</Empty>
          : <Matrix body={body} links={links} way={way} unit={unit} />}
      </Panel>
      {links.length > 0 && <Busiest links={links} way={way} unit={unit} workers={body.workers} />}
      </div>
      <Shuffles rows={Object.entries(body.shuffles)} />
    </Page>
  );
}

function Matrix({ body, links, way, unit }: { body: Network; links: Link[]; way: Way; unit(value: number): string }) {
  const [pointed, setPointed] = useState<{ from: number; to: number; x: number; y: number } | null>(null);
  const name = (worker: number) => endpoint(body.workers, worker);
  const known = [...Object.keys(body.workers).map(Number), ...links.flatMap(({ from, to }) => [from, to])];
  const ids = [...new Set(known)].sort((a, b) => a - b);
  const most = Math.max(1, ...links.map((link) => link[way]));
  const top = links.reduce((best, link) => (link[way] > best[way] ? link : best), links[0]!);
  const says = `Links between ${plural(ids.length, "endpoint")}; the busiest is ${name(top.from)} to ${name(top.to)} with ${unit(top[way])}.`;
  const cell = (width: number) => Math.max(CELL_MIN, Math.min(CELL_MAX, (width - gutter(width)) / ids.length));
  const draw = ({ context, width }: Surface) => {
    const size = cell(width);
    const left = gutter(width);
    const colours = palette.value;
    ids.forEach((id, row) => {
      context.fillStyle = colours.dim;
      if (size >= TEXT_CELL_MIN || row % Math.ceil(TEXT_CELL_MIN / size) === 0) context.fillText(fitted(context, name(id), left - 10), 0, (row + 0.5) * size);
      ids.forEach((_, column) => {
        context.fillStyle = colours.lane;
        context.fillRect(left + column * size, row * size, size - 1, size - 1);
      });
    });
    for (const link of links) {
      const [x, y] = [left + ids.indexOf(link.to) * size, ids.indexOf(link.from) * size];
      // The side of the square tells the amount too, so that the shade is not alone.
      const side = (size - 1) * (0.35 + 0.65 * Math.sqrt(link[way] / most));
      if (link[way] <= 0) continue;
      context.fillStyle = colours.heat;
      context.globalAlpha = 0.45 + 0.55 * link[way] / most;
      context.fillRect(x + (size - 1 - side) / 2, y + (size - 1 - side) / 2, side, side);
      context.globalAlpha = 1;
    }
  };
  const move = (x: number, y: number, width: number) => {
    const size = cell(width);
    const [from, to] = [ids[Math.floor(y / size)], ids[Math.floor((x - gutter(width)) / size)]];
    setPointed(from === undefined || to === undefined ? null : { from, to, x, y });
  };
  const found = pointed && body.links[`${pointed.from}>${pointed.to}`];
  return (
    <Figure says={says} legend={<span class="dim">larger and stronger: more; the largest is {unit(most)}</span>} table={() => <LinkTable links={links} name={name} />}>
      <Canvas height={Math.max(40, ids.length * Math.min(CELL_MAX, Math.max(CELL_MIN, 720 / ids.length)))} draw={draw} onMove={move} onLeave={() => setPointed(null)} />
      {pointed && (
        <div class="tip" style={{ left: `${pointed.x + 12}px`, top: `${pointed.y + 12}px` }}>
          <strong>{name(pointed.from)} → {name(pointed.to)}</strong>
          <span>{found ? `${unit(found[way])}, ${plural(found.transfers, "transfer")} lately` : "nothing"}</span>
        </div>
      )}
    </Figure>
  );
}

const endpoint = (workers: Record<string, string>, worker: number): string =>
  (worker === 0 ? "client or unknown" : workers[worker] ?? `worker ${worker}`);

const BUSIEST_SHOWN = 10;

function Busiest({ links, way, unit, workers }: { links: Link[]; way: Way; unit(value: number): string; workers: Record<string, string> }) {
  const rows = [...links].filter((link) => link[way] > 0).sort((a, b) => b[way] - a[way]).slice(0, BUSIEST_SHOWN);
  const most = Math.max(1, rows[0]?.[way] ?? 0);
  return (
    <Panel title="Busiest links">
      {rows.length === 0 ? <Empty title="Nothing moves in this time" /> : (
        <ul class="bars">
          {rows.map((link) => (
            <li key={`${link.from}>${link.to}`}>
              <span class="wrap">{endpoint(workers, link.from)} → {endpoint(workers, link.to)}</span>
              <span class="figures">{unit(link[way])}</span>
              <Stack parts={[{ share: link[way] / most, fill: "fill-accent" }]} />
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Shuffles({ rows }: { rows: [string, Shuffle][] }) {
  return (
    <Panel title="Shuffles" note="each reader takes its part of every value of another group">
      {rows.length === 0
        ? <Empty title="No shuffle">A bag's by-key operation over hash partitions makes one: reduce_by_key, groupby or join of large data.</Empty>
        : <Table name="Shuffles" rows={rows} id={([id]) => id} sort="Parts" columns={[
          { name: "From", value: ([, row]) => row.from_label, cell: ([, row]) => <GroupName id={row.from} label={row.from_label} /> },
          { name: "To", value: ([, row]) => row.to_label, cell: ([, row]) => <GroupName id={row.to} label={row.to_label} /> },
          { name: "Written", number: true, value: ([, row]) => row.written / Math.max(1, row.writers), cell: ([, row]) => `${count(row.written)} of ${count(row.writers)}` },
          { name: "Read", number: true, value: ([, row]) => row.read / Math.max(1, row.readers), cell: ([, row]) => `${count(row.read)} of ${count(row.readers)}` },
          { name: "Parts", number: true, value: ([, row]) => row.parts, cell: ([, row]) => count(row.parts) },
          { name: "Made", number: true, value: ([, row]) => row.bytes, cell: ([, row]) => bytes(row.bytes) },
          { name: "Moved", number: true, value: ([, row]) => row.moved_bytes, cell: ([, row]) => bytes(row.moved_bytes) },
          { name: "Now", number: true, value: ([, row]) => row.moved_bytes_per_s, cell: ([, row]) => bytesPerSecond(row.moved_bytes_per_s) },
        ]} />}
    </Panel>
  );
}

const gutter = (width: number): number => (width < 480 ? 72 : 128 * rem());

function LinkTable({ links, name }: { links: Link[]; name(worker: number): string }) {
  return (
    <Table name="Links" rows={links} id={(row) => `${row.from}>${row.to}`} sort="Total" columns={[
      { name: "From", value: (row) => name(row.from) }, { name: "To", value: (row) => name(row.to) },
      { name: "Now", number: true, value: (row) => row.bytes_per_s, cell: (row) => bytesPerSecond(row.bytes_per_s) },
      { name: "1 min", number: true, value: (row) => row.bytes_1min, cell: (row) => bytes(row.bytes_1min) },
      { name: "Total", number: true, value: (row) => row.bytes_total, cell: (row) => bytes(row.bytes_total) },
      { name: "Transfers lately", number: true, value: (row) => row.transfers, cell: (row) => count(row.transfers) },
    ]} />
  );
}
