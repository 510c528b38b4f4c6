// The one WebSocket: subscriptions in, bodies out. It reconnects by itself and asks for what it missed; a hidden page
// asks for nothing. Knows nothing of pages or of time travel.

import { signal } from "@preact/signals";
import { FeedError } from "./http";
import { mergePatch } from "./patch";
import { isReport, reportBody } from "./report";
import { readFrame, type Frame } from "./stream";

export interface Hello {
  version: number; session: string; epoch: number | string; now: number; origin_unix_us: number;
  control: boolean; mode: "live" | "history";
}
export type Link = "connecting" | "open" | "lost";

export const link = signal<Link>("connecting");
export const hello = signal<Hello | null>(null);
/** The feed's time, and the page's clock (ms) when it was heard. */
export const heard = { t: 0, at: 0 };

export interface Listener {
  body?(body: unknown, t: number): void;
  append?(items: unknown[], next: number): void;
  frame?(frame: Frame): void;
  error?(error: FeedError): void;
}
interface Subscription { get: string; hz: number; span?: number; seq?: number; body?: unknown; listener: Listener }

const RETRY_MS_MAX = 5000;
const subscriptions = new Map<number, Subscription>();
let socket: WebSocket | null = null;
let nextId = 1;
let retryMs = 250;

/** Listens to `/api/v1/PATH`, at most `hz` times a second, until the returned function is called. */
export function subscribe(path: string, hz: number, listener: Listener, span?: number): () => void {
  const id = nextId++;
  subscriptions.set(id, { get: `/api/v1/${path}`, hz, listener, ...(span ? { span } : {}) });
  tell({ sub: [request(id)] });
  return () => {
    subscriptions.delete(id);
    tell({ unsub: [id] });
  };
}

export function connect(): void {
  if (isReport) return greetFromReport();
  const url = new URL("ws", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => (typeof data === "string" ? hear(JSON.parse(data)) : hearBytes(data));
  socket.onclose = () => {
    socket = null;
    link.value = "lost";
    setTimeout(connect, retryMs * (0.75 + Math.random() / 2));
    retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
  };
}

document.addEventListener("visibilitychange", () => {
  tell({ hz: Object.fromEntries([...subscriptions].map(([id, { hz }]) => [id, document.hidden ? 0 : hz])) });
});

function request(id: number) {
  const { get, hz, span, seq } = subscriptions.get(id)!;
  return { id, get, hz: document.hidden ? 0 : hz, ...(span ? { span } : {}), ...(seq === undefined ? {} : { since: seq }) };
}

function tell(message: unknown): void {
  if (socket?.readyState === WebSocket.OPEN && hello.peek()) socket.send(JSON.stringify(message));
}

interface Message {
  hello?: Hello; id?: number; seq?: number; base?: number; t?: number;
  snapshot?: unknown; delta?: unknown; append?: unknown[]; next?: number; error?: { code: number; text: string };
}

function hear(message: Message): void {
  if (message.hello) return greet(message.hello);
  if (message.t !== undefined) hearTime(message.t);
  const subscription = subscriptions.get(message.id ?? 0);
  if (!subscription) return;  // crossed with our unsub
  const { listener } = subscription;
  if (message.error) return listener.error?.(new FeedError(message.error.code, message.error.text));
  if (message.delta !== undefined && message.base !== subscription.seq) return again(message.id!, subscription);
  subscription.seq = message.seq;
  if (message.append) return listener.append?.(message.append, message.next ?? 0);
  if (message.snapshot !== undefined) subscription.body = message.snapshot;
  else if (message.delta !== undefined) subscription.body = mergePatch(subscription.body, message.delta);
  else return;
  listener.body?.(subscription.body, message.t ?? heard.t);
}

function hearBytes(bytes: ArrayBuffer): void {
  const frame = readFrame(bytes);
  if (!frame) return;
  const subscription = subscriptions.get(frame.subscription);
  if (subscription?.span) hearTime(frame.t1);
  subscription?.listener.frame?.(frame);
}

// A delta to a body we do not hold: ask for a whole one.
function again(id: number, subscription: Subscription): void {
  delete subscription.seq;
  tell({ unsub: [id] });
  tell({ sub: [request(id)] });
}

function greet(greeting: Hello): void {
  const restarted = hello.peek()?.epoch !== greeting.epoch;
  for (const subscription of subscriptions.values()) if (restarted || subscription.span) delete subscription.seq;
  hello.value = greeting;
  heard.t = 0;
  hearTime(greeting.now);
  retryMs = 250;
  link.value = "open";
  if (subscriptions.size) tell({ sub: [...subscriptions.keys()].map(request) });
}

function greetFromReport(): void {
  const system = reportBody("system") as { origin_unix_us?: number } | undefined;
  const overview = reportBody("overview") as { t1?: number } | undefined;
  heard.t = overview?.t1 ?? 0;
  hello.value = { version: 1, session: "", epoch: 0, now: heard.t, origin_unix_us: system?.origin_unix_us ?? 0, control: false, mode: "history" };
  link.value = "open";
}

function hearTime(t: number): void {
  if (t < heard.t) return;
  heard.t = t;
  heard.at = performance.now();
}
