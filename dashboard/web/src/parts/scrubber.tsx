// The time cursor as a thing: all time held, how busy it was, and where we look.

import { useRef } from "preact/hooks";
import { clock, cursor, edge, follow, present, seek, span } from "../cursor";
import { useAsked } from "../feed/use";
import type { Series } from "../feed/types";
import { palette } from "../theme";
import { Canvas, type Surface } from "./canvas";
import { clockTime } from "./format";

const EVERY_MS = 2000;
const STEPS = 200;
const HEIGHT = 28;
/** A pointer this near to the end follows again. */
const END_SHARE = 0.995;

export function Scrubber() {
  const track = useRef<HTMLDivElement>(null);
  const { body } = useAsked<Series>("series?names=busy,failed_attempts_per_s&by=cluster&px=400", EVERY_MS);
  void clock.value;
  const first = body?.t[0] ?? 0;
  const last = Math.max(present(), body?.t.at(-1) ?? 0, first + 1);
  const at = (cursor.value ?? edge());
  const place = (t: number) => `${Math.min(1, Math.max(0, (t - first) / (last - first))) * 100}%`;
  const go = (share: number) => (share >= END_SHARE ? follow() : seek(first + Math.max(0, share) * (last - first)));
  const drag = (event: PointerEvent) => {
    const box = track.current!.getBoundingClientRect();
    go((event.clientX - box.left) / box.width);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -20, PageUp: 20 }[event.key];
    if (steps) go((at + steps * (last - first) / STEPS - first) / (last - first));
    else if (event.key === "Home") go(0);
    else if (event.key === "End") follow();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="scrub">
      <div class="track" ref={track} role="slider" tabIndex={0} aria-label="Time shown" aria-valuemin={Math.round(first / 1e6)}
        aria-valuemax={Math.round(last / 1e6)} aria-valuenow={Math.round(at / 1e6)}
        aria-valuetext={cursor.value === null ? "the present" : clockTime(at)} onKeyDown={onKeyDown}
        onPointerDown={(event) => { track.current!.setPointerCapture(event.pointerId); drag(event); }}
        onPointerMove={(event) => { if (event.buttons & 1) drag(event); }}>
        {body && <Canvas height={HEIGHT} draw={(surface) => drawBusy(surface, body, first, last)} />}
        <div class="window" style={{ left: place(at - span.value), right: `calc(100% - ${place(at)})` }} />
        <div class="thumb" style={{ left: place(at) }} />
      </div>
    </div>
  );
}

function drawBusy({ context, width, height }: Surface, { t, series }: Series, first: number, last: number): void {
  const colours = palette.value;
  const x = (time: number) => (time - first) / (last - first) * width;
  context.fillStyle = colours.accent;
  context.globalAlpha = 0.45;
  context.beginPath();
  context.moveTo(0, height);
  t.forEach((time, i) => context.lineTo(x(time), height - (series.busy?.[i] ?? 0) * (height - 4)));
  context.lineTo(x(t.at(-1) ?? 0), height);
  context.fill();
  context.globalAlpha = 1;
  context.fillStyle = colours.states.failed!;
  t.forEach((time, i) => { if ((series.failed_attempts_per_s?.[i] ?? 0) > 0) context.fillRect(x(time) - 1, 0, 2, 7); });
}
