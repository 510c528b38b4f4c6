// One question to the server. URLs are relative to the page, so that a prefix in front of it needs no configuration.

import { isReport, reportBody, reportBytes } from "./report";

export class FeedError extends Error {
  constructor(readonly code: number, text: string) { super(text); }
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  if (isReport) {
    const body = reportBody(path);
    if (body === undefined) throw new FeedError(404, "This report does not hold that; open the live dashboard, or `weft history` on the log.");
    return body as T;
  }
  return (await ask(path, { signal })).json();
}

export async function getBytes(path: string, signal?: AbortSignal): Promise<{ bytes: ArrayBuffer; headers: Headers }> {
  if (isReport) {
    const bytes = reportBytes(path);
    if (!bytes) throw new FeedError(404, "This report does not hold that picture.");
    return { bytes, headers: new Headers() };
  }
  const answer = await ask(path, { signal });
  return { bytes: await answer.arrayBuffer(), headers: answer.headers };
}

/** A control verb and what it answers; the scheduler must have been started with --dashboard-control. */
export async function control<Result>(verb: string, body: unknown): Promise<Result> {
  const answer = await ask(`control/${verb}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  return (await answer.json() as { result: Result }).result;
}

async function ask(path: string, init: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(`api/v1/${path}`, init);
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new FeedError(0, "The scheduler's dashboard does not answer. Is it running?");
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => null) as { error?: { code?: number; text?: string } } | null;
  throw new FeedError(answer.status, body?.error?.text ?? `The server answered ${answer.status}.`);
}

/** A path with those of the parameters that have a value. */
export function withQuery(path: string, parameters: Record<string, string | number | boolean | null | undefined>): string {
  const fields = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (fields.length === 0) return path;
  const text = fields.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join("&");
  return `${path}${path.includes("?") ? "&" : "?"}${text}`;
}
