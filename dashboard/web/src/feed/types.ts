// The bodies of ../../feed.md, as far as the pages read them. What may be null may also be absent (after a delta): compare with == null.
// Times are integer microseconds since the observer began;
// names, labels, errors and log lines are untrusted text.

export type Micros = number;
export type Table<Row> = Record<string, Row>;

export interface Span { t0: Micros; t1: Micros; live: boolean }

export const TASK_STATES = ["released", "waiting", "ready", "assigned", "stored", "failed"] as const;
export type TaskState = (typeof TASK_STATES)[number];
export type StateCounts = Record<TaskState, number>;

export interface Progress {
  label: string; total: number; done: number; failed: number; open: number; assigned: number;
  rate_per_s: number; eta_s: number | null;
}
export interface Alert { level: "error" | "warning" | "info"; text: string; advice: string; page: string }
export interface Overview extends Span {
  tasks: StateCounts;
  running: number; slots: number; busy: number; clients: number;
  workers: { total: number; running: number; paused: number; retiring: number; disconnected: number };
  memory: Memory & { process_bytes: number; limit_bytes: number };
  rates: {
    finished_per_s: number; failed_tasks_per_s: number; failed_attempts_per_s: number; retried_per_s: number;
    transitions_per_s: number; transfer_bytes_per_s: number;
  };
  totals: {
    finished: number; failed_tasks: number; failed_attempts: number; retried: number; transitions: number;
    transfer_bytes: number; transfers: number; recalls: number; lost_workers: number;
  };
  labels: number;
  progress: Table<Progress>;
  alerts: Table<Alert>;
  dropped: number;
}
export interface ProgressRows extends Span { labels: number; progress: Table<Progress> }
export interface Memory { managed_bytes: number; spilled_bytes: number; unmanaged_bytes: number }

export interface Worker extends Memory {
  name: string; host: string; address: string; pid: number; status: string; alive: boolean;
  joined: Micros; lost: Micros | null; slots: number; running: number; queued: number; assigned: number; busy: number;
  process_bytes: number; limit_bytes: number; finished: number; failed_attempts: number; finished_per_s: number;
  received_bytes: number; sent_bytes: number; received_bytes_per_s: number; sent_bytes_per_s: number;
  heard: Micros; resources?: Record<string, number>;
}
export interface Workers extends Span {
  workers: Table<Worker>;
  tasks?: Table<{ label: string; state: string; started: Micros | null }>;
}

export interface Group {
  label: string; counts: StateCounts; total: number; finished: number; failed_tasks: number; failed_attempts: number; retried: number;
  run_s: { sum: number; mean: number; p50: number; p99: number; max: number };
  bytes: { sum: number; mean: number };
  transfer_bytes: number; first: Micros; last: Micros; colour: number;
}
export interface Groups extends Span { groups: Table<Group> }

export interface GraphNode { label: string; total: number; done: number; failed: number; open: number; depth: number }
export interface Graph extends Span {
  nodes: Table<GraphNode>;
  edges: Table<{ from: number; to: number; count: number }>;
}
export interface RasterPixel {
  key: string; index: number; state: number | string; worker: string | number | null;
  start: Micros | null; end: Micros | null;
}

export interface TaskError {
  kind: string; type: string; message: string; traceback: string; output: string;
  worker: string; attempt: number; t: Micros;
}
export interface Task {
  key: string; label: string; group: number; state: string; worker: string | null; worker_id: number | null;
  attempts: number; created: Micros; start: Micros | null; end: Micros | null; run_s: number | null;
  bytes: number | null; unblocked_by: string | null; error: TaskError | null;
}
export interface Tasks extends Span { tasks: Table<Task>; more: boolean }
export interface OneTask extends Span { task: Task }
export interface Story { story: { t: Micros; from: string; to: string; worker: string | null; attempt: number | null }[] }
export type Explain = { key: string; label: string; state: string; why: string } & Record<string, unknown>;
export interface Lineage {
  nodes: Table<{ label: string; state: string; distance: number }>;
  edges: [string, string][];
  cut: boolean;
}
export interface CriticalPath extends Span {
  path: {
    key: string; label: string; group: number; worker: string; start: Micros; end: Micros; run_s: number; wait_s: number;
  }[];
  span_s: number; run_s: number; wait_s: number;
}

export interface MemoryRow extends Partial<Memory> {
  name?: string; label?: string; worker?: string; limit_bytes?: number; count?: number; managed_bytes: number;
  copies_bytes?: number; bytes?: number; holders?: string;
}
export interface MemoryRows extends Span {
  rows: Table<MemoryRow>;
  rest?: { managed_bytes: number; spilled_bytes: number };  // by group: what is no group's
}

export interface Link {
  from: number; to: number; bytes: number; transfers: number; bytes_per_s: number; bytes_1min: number; bytes_total: number;
}
export interface Network extends Span {
  links: Table<Link>;
  workers: Table<string>;
  recalls: { total: number; per_s: number };
  unknown_source_bytes: number;
  shuffles: Table<Shuffle>;
}
export interface Shuffle {
  from: number; to: number; from_label: string; to_label: string; parts: number; written: number; writers: number; read: number; readers: number;
  bytes: number; moved_bytes: number; moved_bytes_per_s: number;
}

export interface ProfileNode { name: string; value: number; children?: ProfileNode[] }
export interface Profile extends Span { samples: number; period_s: number; root: ProfileNode; note?: string }

export interface ErrorRow {
  kind: string; type: string; frame: string; message: string; failed_attempts: number; failed_tasks: number; first: Micros; last: Micros;
  groups: Table<number>; workers: Table<number>;
  example: { key: string; traceback: string; output: string; attempt: number };
}
export interface Errors extends Span { errors: Table<ErrorRow> }
export interface FeedEvent { n: number; t: Micros; kind: string; text: string; worker: string | null; key: string | null }
export interface Events extends Span { events: FeedEvent[]; next: number }
export interface LogLine { n: number; t: Micros; level: number; worker: string | null; key: string | null; text: string }
export interface Logs extends Span { lines: LogLine[]; next: number }

export interface Series { t: Micros[]; series: Record<string, (number | null)[]> }
export interface WorkerSeries { t: Micros[]; series: Table<Record<string, (number | null)[]>> }

export interface Run {
  name: string; start: Micros; end: Micros | null; tasks: number; finished: number; failed_tasks: number; busy: number;
  bytes: number; groups: number; file: string | null; current: boolean;
}
export interface Runs extends Span { runs: Table<Run> }
export interface RunGroup { count: number; run_s: number; mean_s: number; bytes: number }
export interface RunsCompared { a: Run; b: Run; groups: Record<string, { a?: RunGroup | null; b?: RunGroup | null }> }

export interface System {
  origin_unix_us: number; version: string; protocol: string | number; mode: "live" | "history";
  scheduler: {
    epoch: number | string; pid: number; host: string;
    loop: { steps: number; mean_s: number; p99_s: number; max_s: number; busy: number };
  };
  observer: {
    records: number; dropped: number; queue: number; history_bytes: number; log_bytes: number; tasks_held: number;
  };
  viewers: { sessions: number; sent_bytes: number; cut: number };
  control: boolean;
  trace: string;
  reader?: string;
}
export interface Starts { starts: Record<string, { began_unix_us: number; written_unix_us: number; bytes: number; shown: boolean; path: string | null }> }
export interface Config { options: Record<string, { value: unknown; default: unknown; origin: string }> }

export interface TimelineTable extends Span {
  lanes: Table<{ worker: number; slot: number }>;
  rects: { lane: string; key: string; group: number; start: Micros; end: Micros }[];
  running: { lane: string; key: string; group: number; start: Micros }[];
  cut: boolean;
}

export interface TimeByGroup extends Span {
  slots: number; slot_s: number; busy_s: number; idle_s: number; within_s: number;
  groups: Table<{ label: string; run_s: number }>;
  /** Of a report: for each group the columns it has, as number, seconds, number, seconds, … */
  columns?: { width: Micros; first: number; slot_s: number[]; groups: Table<number[]> };
}
