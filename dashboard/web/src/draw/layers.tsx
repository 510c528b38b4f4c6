// A graph in layers, left to right: nodes are links, edges are curves behind them.
// Source: ordering by barycenters, Sugiyama, Tagawa and Toda (1981); a few sweeps are enough for groups and lineages.

import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";

export interface LayerNode { id: string; depth: number; href: string; edge: string; current?: boolean; content: ComponentChildren; title: string }
export interface LayerEdge { from: string; to: string; weight: number }
interface Place { x: number; y: number }

const WIDTH = 196;
const HEIGHT = 62;
const GAP_X = 64;
const GAP_Y = 14;
const SWEEPS = 4;

export function Layers({ name, nodes, edges }: { name: string; nodes: LayerNode[]; edges: LayerEdge[] }) {
  const shape = `${nodes.map(({ id, depth }) => `${id}:${depth}`)}|${edges.map(({ from, to }) => `${from}>${to}`)}`;
  const places = useMemo(() => arrange(nodes, edges), [shape]);
  const width = Math.max(0, ...[...places.values()].map(({ x }) => x + WIDTH));
  const height = Math.max(0, ...[...places.values()].map(({ y }) => y + HEIGHT));
  return (
    <div class="layers" role="group" aria-label={name} tabIndex={0}>
      <div style={{ position: "relative", width: `${width + 2}px`, height: `${height + 2}px` }}>
        <svg width={width} height={height} aria-hidden="true">
          {edges.map(({ from, to, weight }) => {
            const [a, b] = [places.get(from), places.get(to)];
            return a && b && <path key={`${from}>${to}`} d={curve(a, b)} stroke-width={Math.min(5, 1 + Math.log10(Math.max(1, weight)))} />;
          })}
        </svg>
        {nodes.map((node) => {
          const { x, y } = places.get(node.id)!;
          return (
            <a key={node.id} class="node" href={node.href} title={node.title} aria-current={node.current ? "true" : undefined}
              style={{ left: `${x}px`, top: `${y}px`, width: `${WIDTH}px`, height: `${HEIGHT}px`, borderLeftColor: node.edge }}>
              {node.content}
            </a>
          );
        })}
      </div>
    </div>
  );
}

function curve(a: Place, b: Place): string {
  const [x0, y0, x1, y1] = [a.x + WIDTH, a.y + HEIGHT / 2, b.x, b.y + HEIGHT / 2];
  const bend = Math.max(GAP_X / 2, Math.abs(x1 - x0) / 2);
  return `M${x0} ${y0}C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`;
}

function arrange(nodes: LayerNode[], edges: LayerEdge[]): Map<string, Place> {
  const layers = new Map<number, string[]>();
  for (const { id, depth } of nodes) layers.set(depth, [...(layers.get(depth) ?? []), id]);
  const depths = [...layers.keys()].sort((a, b) => a - b);
  const neighbours = new Map<string, string[]>();
  const join = (a: string, b: string) => neighbours.set(a, [...(neighbours.get(a) ?? []), b]);
  for (const { from, to } of edges) { join(from, to); join(to, from); }
  const rank = new Map<string, number>();
  const number = (ids: string[]) => ids.forEach((id, i) => rank.set(id, i / Math.max(1, ids.length)));
  layers.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; ++sweep) {
    for (const depth of sweep % 2 ? [...depths].reverse() : depths) {
      const ids = layers.get(depth)!;
      const middle = new Map(ids.map((id) => {
        const around = (neighbours.get(id) ?? []).map((other) => rank.get(other) ?? 0);
        return [id, around.length ? around.reduce((sum, value) => sum + value, 0) / around.length : rank.get(id)!];
      }));
      ids.sort((a, b) => middle.get(a)! - middle.get(b)!);
      number(ids);
    }
  }
  const tallest = Math.max(1, ...[...layers.values()].map((ids) => ids.length));
  const places = new Map<string, Place>();
  depths.forEach((depth, column) => {
    const ids = layers.get(depth)!;
    const top = (tallest - ids.length) * (HEIGHT + GAP_Y) / 2;
    ids.forEach((id, row) => places.set(id, { x: column * (WIDTH + GAP_X), y: top + row * (HEIGHT + GAP_Y) }));
  });
  return places;
}
