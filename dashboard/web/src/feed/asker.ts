// The newest question, one at a time: whoever scrubs through time sees as many moments as there are answers, and no queue of old ones.

import { FeedError } from "./http";

const GAP_MS = 15;  // a frame, in which the answer is drawn

export class Asker<Answer> {
  private wanted: string | null = null;
  private busy = false;
  private ended = new AbortController();

  constructor(private readonly get: (path: string, signal: AbortSignal) => Promise<Answer>,
    private readonly take: (answer: Answer) => void, private readonly fail: (error: FeedError) => void) {}

  ask(path: string): void {
    this.wanted = path;
    if (!this.busy) void this.answer();
  }

  /** Nothing that was asked before is taken. */
  stop(): void {
    this.wanted = null;
    this.ended.abort();
    this.ended = new AbortController();
  }

  private async answer(): Promise<void> {
    this.busy = true;
    try {
      while (this.wanted !== null) {
        const path = this.wanted;
        this.wanted = null;
        const { signal } = this.ended;
        try {
          const answer = await this.get(path, signal);
          if (!signal.aborted) this.take(answer);
        } catch (error) {
          if (error instanceof FeedError) { if (!signal.aborted) this.fail(error); }
          else if ((error as Error).name !== "AbortError") throw error;
        }
        await new Promise((resolve) => { setTimeout(resolve, GAP_MS); });
      }
    } finally { this.busy = false; }
  }
}
