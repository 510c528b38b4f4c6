// A graph in layers, left to right: nodes are links, edges are curves behind them.
// Source: ordering by barycenters, Sugiyama, Tagawa and Toda (1981); a few sweeps are enough for groups and lineages.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { rem } from "../parts/canvas";

export interface LayerNode { id: string; depth: number; href: string; edge: string; current?: boolean; content: ComponentChildren; title: string }
export interface LayerEdge { from: string; to: string; weight: number }
interface Place { x: number; y: number }

interface Sizes { width: number; height: number; gapX: number; gapY: number }

const SWEEPS = 4;
const ROWS_MAX = 16;  // of a layer before it goes on beside itself

const sizes = (): Sizes => { const scale = rem(); return { width: 196 * scale, height: 62 * scale, gapX: 64 * scale, gapY: 14 * scale }; };

export function Layers({ name, nodes, edges }: { name: string; nodes: LayerNode[]; edges: LayerEdge[] }) {
  const place = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState(0);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => setRoom(place.current!.clientWidth));
    observer.observe(place.current!);
    setRoom(place.current!.clientWidth);
    return () => observer.disconnect();
  }, []);
  const shape = `${nodes.map(({ id, depth }) => `${id}:${depth}`)}|${edges.map(({ from, to }) => `${from}>${to}`)}`;
  const size = sizes();
  const places = useMemo(() => arrange(nodes, edges, size, room), [shape, room, size.width]);
  const width = Math.max(0, ...[...places.values()].map(({ x }) => x + size.width));
  const height = Math.max(0, ...[...places.values()].map(({ y }) => y + size.height));
  return (
    <div class="layers" role="group" aria-label={name} tabIndex={0} ref={place}>
      <div style={{ position: "relative", width: `${width}px`, height: `${height + 2}px` }}>
        <svg width={width} height={height} aria-hidden="true">
          {edges.map(({ from, to, weight }) => {
            const [a, b] = [places.get(from), places.get(to)];
            return a && b && <path key={`${from}>${to}`} d={curve(a, b, size)} stroke-width={Math.min(5, 1 + Math.log10(Math.max(1, weight)))} />;
          })}
        </svg>
        {nodes.map((node) => {
          const { x, y } = places.get(node.id)!;
          return (
            <a key={node.id} class="node" href={node.href} title={node.title} aria-current={node.current ? "true" : undefined}
              style={{ left: `${x}px`, top: `${y}px`, width: `${size.width}px`, height: `${size.height}px`, borderLeftColor: node.edge }}>
              {node.content}
            </a>
          );
        })}
      </div>
    </div>
  );
}

function curve(a: Place, b: Place, { width, height, gapX }: Sizes): string {
  const [x0, y0, x1, y1] = [a.x + width, a.y + height / 2, b.x, b.y + height / 2];
  const bend = Math.max(gapX / 2, Math.abs(x1 - x0) / 2);
  return `M${x0} ${y0}C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`;
}

// What hangs together in layers; what has no edge in rows below, as many in each as have room.
function arrange(nodes: LayerNode[], edges: LayerEdge[], size: Sizes, room: number): Map<string, Place> {
  const neighbours = new Map<string, string[]>(nodes.map(({ id }) => [id, []]));
  for (const { from, to } of edges) {
    if (from === to) continue;
    neighbours.get(from)?.push(to);
    neighbours.get(to)?.push(from);
  }
  const joined = nodes.filter(({ id }) => neighbours.get(id)!.length > 0);
  const places = inLayers(orderedLayers(joined, neighbours), size);
  const top = Math.max(0, ...[...places.values()].map(({ y }) => y + size.height + 2 * size.gapY));
  const columns = Math.max(1, Math.floor((room + size.gapY) / (size.width + size.gapY)));
  nodes.filter(({ id }) => !places.has(id)).forEach(({ id }, i) =>
    places.set(id, { x: i % columns * (size.width + size.gapY), y: top + Math.floor(i / columns) * (size.height + size.gapY) }));
  return places;
}

function orderedLayers(nodes: LayerNode[], neighbours: Map<string, string[]>): string[][] {
  const layers = new Map<number, string[]>();
  for (const { id, depth } of nodes) {
    const layer = layers.get(depth);
    if (layer) layer.push(id); else layers.set(depth, [id]);
  }
  const depths = [...layers.keys()].sort((a, b) => a - b);
  const rank = new Map<string, number>();
  const number = (ids: string[]) => ids.forEach((id, i) => rank.set(id, i / Math.max(1, ids.length)));
  layers.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; ++sweep) {
    for (const depth of sweep % 2 ? [...depths].reverse() : depths) {
      const ids = layers.get(depth)!;
      const middle = new Map(ids.map((id) => {
        const around = neighbours.get(id)!.map((other) => rank.get(other)).filter((value) => value !== undefined);
        return [id, around.length ? around.reduce((sum, value) => sum + value, 0) / around.length : rank.get(id)!];
      }));
      ids.sort((a, b) => middle.get(a)! - middle.get(b)!);
      number(ids);
    }
  }
  return depths.map((depth) => layers.get(depth)!);
}

function inLayers(layers: string[][], { width, height, gapX, gapY }: Sizes): Map<string, Place> {
  const places = new Map<string, Place>();
  const tallest = Math.min(ROWS_MAX, Math.max(1, ...layers.map((ids) => ids.length)));
  let x = 0;
  for (const ids of layers) {
    const columns = Math.ceil(ids.length / ROWS_MAX);
    const rows = Math.ceil(ids.length / columns);
    const top = (tallest - rows) * (height + gapY) / 2;
    ids.forEach((id, i) => places.set(id, { x: x + Math.floor(i / rows) * (width + gapY), y: top + i % rows * (height + gapY) }));
    x += columns * (width + gapY) - gapY + gapX;
  }
  return places;
}
