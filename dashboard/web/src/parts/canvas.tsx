// A canvas as wide as its place and as sharp as the screen. What is drawn is the caller's; so is when.

import { useEffect, useRef } from "preact/hooks";

export interface Surface { context: CanvasRenderingContext2D; width: number; height: number; ratio: number }
interface Props {
  height: number;
  /** Draws everything, in CSS pixels. Called after every render and when the width changes. */
  draw(surface: Surface): void;
  onMove?(x: number, y: number, width: number): void;
  onLeave?(): void;
  onPress?(x: number, y: number, width: number): void;
}

export function Canvas({ height, draw, onMove, onLeave, onPress }: Props) {
  const element = useRef<HTMLCanvasElement>(null);
  const latest = useRef(draw);
  latest.current = draw;
  const redraw = () => { if (element.current) latest.current(prepare(element.current, height)); };
  useEffect(redraw);
  useEffect(() => {
    const observer = new ResizeObserver(redraw);
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, [height]);
  const at = (event: PointerEvent | MouseEvent, tell?: (x: number, y: number, width: number) => void) =>
    tell?.(event.offsetX, event.offsetY, element.current!.clientWidth);
  return (
    <canvas ref={element} style={{ height: `${height}px` }} aria-hidden="true"
      onPointerMove={(event) => at(event, onMove)} onPointerLeave={onLeave} onClick={(event) => at(event, onPress)} />
  );
}

/** Sizes the canvas for its place and clears it. */
export function prepare(canvas: HTMLCanvasElement, height: number): Surface {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const [across, down] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== across) canvas.width = across;
  if (canvas.height !== down) canvas.height = down;
  const context = canvas.getContext("2d")!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = `${11 * rem()}px Inter, "Segoe UI", Roboto, system-ui, sans-serif`;
  context.textBaseline = "middle";
  return { context, width, height, ratio };
}

/** How much larger than usual everything is written: 1.25 on a wall screen. */
export const rem = (): number => parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;

/** The text, cut so that it is at most `width` wide. */
export function fitted(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (context.measureText(text).width <= width) return text;
  let length = Math.floor(text.length * width / Math.max(1, context.measureText(text).width));
  while (length > 0 && context.measureText(`${text.slice(0, length)}…`).width > width) --length;
  return length > 0 ? `${text.slice(0, length)}…` : "";
}
