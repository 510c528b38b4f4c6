// A chart of lines over time, with its legend of present values, its table, and the values under the pointer.

import { useState } from "preact/hooks";
import { drawLines, scaleOf, type Line } from "../draw/lines";
import { palette } from "../theme";
import { Canvas, rem } from "./canvas";
import { Figure } from "./figure";
import { Table } from "./table";
import { Legend } from "./basics";
import { bytes, bytesPerSecond, clockTime } from "./format";

interface Props { title: string; t: number[]; lines: Line[]; unit(value: number | null | undefined): string; max?: number }

const HEIGHT = 168;

export function Chart({ title, t, lines, unit, max }: Props) {
  const [pointed, setPointed] = useState<{ at: number; x: number; width: number } | null>(null);
  const last = (line: Line) => unit(line.values.at(-1));
  const says = `${title}: ${lines.map((line) => `${line.name} ${last(line)}`).join(", ")}, ${clockTime(t[0])} to ${clockTime(t.at(-1))}.`;
  const height = Math.round(HEIGHT * rem() ** 2);
  const binary = unit === bytes || unit === bytesPerSecond;
  const move = (x: number, _: number, width: number) => {
    const { box, t0, t1 } = scaleOf(width, height, t, lines, max);
    const time = t0 + (x - box.x) / box.width * (t1 - t0);
    const after = t.findIndex((held) => held >= time);
    setPointed(x < box.x ? null : { at: after < 0 ? t.length - 1 : after, x, width });
  };
  return (
    <Figure says={says} legend={<Legend items={lines.map((line) => [`${line.name} ${last(line)}`, `fill-${line.fill}`])} />}
      table={() => (
        <Table name={title} id={(i) => i} rows={t.map((_, i) => i).reverse()} columns={[
          { name: "Time", value: (i) => t[i], cell: (i) => clockTime(t[i]) },
          ...lines.map((line) => ({ name: line.name, number: true, value: (i: number) => line.values[i], cell: (i: number) => unit(line.values[i]) })),
        ]} />
      )}>
      <Canvas height={height} onMove={move} onLeave={() => setPointed(null)} draw={(surface) => {
        const scale = scaleOf(surface.width, height, t, lines, max);
        drawLines(surface, scale, t, lines, palette.value, unit, binary);
        if (!pointed) return;
        surface.context.fillStyle = palette.value.dim;
        surface.context.fillRect(pointed.x, scale.box.y, 1, scale.box.height);
      }} />
      {pointed && (
        <div class="tip" style={{ top: "28px", ...(pointed.x > pointed.width / 2 ? { right: `${pointed.width - pointed.x + 8}px` } : { left: `${pointed.x + 8}px` }) }}>
          <strong>{clockTime(t[pointed.at])}</strong>
          {lines.map((line) => <span key={line.name}>{line.name} {unit(line.values[pointed.at])}</span>)}
        </div>
      )}
    </Figure>
  );
}
