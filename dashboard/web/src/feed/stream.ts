// The task stream's binary frame (feed.md, section 3), read in place: typed arrays over the received bytes.

export const IDLE = 0xffffffff;
const MAGIC = 0x31465457;
const HEADER_BYTES = 56;

export interface Frame {
  subscription: number;
  t0: number;
  t1: number;
  delta: boolean;
  laneWorker: Uint32Array;
  laneSlot: Uint32Array;
  rects: Rects | null;      // exactly one of rects and columns is there
  columns: Columns | null;
  transfers: Transfers;
  open: OpenRuns;           // all there are at t1, in a delta too
}
export interface OpenRuns { count: number; start: Float64Array; lane: Uint32Array; group: Uint32Array; key: BigUint64Array }
export interface Rects {
  count: number; start: Float64Array; end: Float64Array; lane: Uint32Array; group: Uint32Array; key: BigUint64Array;
}
export interface Columns {
  count: number;            // per lane; row by lane
  width: number;            // µs
  group: Uint32Array; busy: Uint8Array; transfer: Uint8Array;
}
export interface Transfers {
  count: number; start: Float64Array; end: Float64Array; from: Uint32Array; to: Uint32Array; bytes: BigUint64Array;
}

/** What a frame says, or null for bytes that are no frame of a version we know. */
export function readFrame(buffer: ArrayBuffer): Frame | null {
  if (buffer.byteLength < HEADER_BYTES) return null;
  const header = new DataView(buffer);
  if (header.getUint32(0, true) !== MAGIC) return null;
  const lanes = header.getUint32(36, true);
  const count = header.getUint32(40, true);
  const transfers = header.getUint32(44, true);
  const open = header.getUint16(34, true);
  const isColumns = header.getUint8(32) === 1;
  const blocks = new Blocks(buffer);
  try {
    const laneWorker = blocks.u32(lanes);
    const laneSlot = blocks.u32(lanes);
    const rects = isColumns ? null : {
      count, start: blocks.f64(count), end: blocks.f64(count), lane: blocks.u32(count), group: blocks.u32(count),
      key: blocks.u64(count),
    };
    const columns = !isColumns ? null : {
      count, width: header.getFloat64(48, true),
      group: blocks.u32(lanes * count), busy: blocks.u8(lanes * count), transfer: blocks.u8(lanes * count),
    };
    return {
      subscription: header.getUint32(4, true), t0: header.getFloat64(16, true), t1: header.getFloat64(24, true),
      delta: header.getUint8(33) === 1, laneWorker, laneSlot, rects, columns,
      transfers: {
        count: transfers, start: blocks.f64(transfers), end: blocks.f64(transfers), from: blocks.u32(transfers),
        to: blocks.u32(transfers), bytes: blocks.u64(transfers),
      },
      open: { count: open, start: blocks.f64(open), lane: blocks.u32(open), group: blocks.u32(open), key: blocks.u64(open) },
    };
  } catch (error) {
    if (error instanceof RangeError) return null;  // shorter than its own header says
    throw error;
  }
}

// Blocks follow each other, each beginning at a multiple of 8.
class Blocks {
  private offset = HEADER_BYTES;
  constructor(private readonly buffer: ArrayBuffer) {}

  f64(count: number) { return new Float64Array(this.buffer, this.take(count * 8), count); }
  u64(count: number) { return new BigUint64Array(this.buffer, this.take(count * 8), count); }
  u32(count: number) { return new Uint32Array(this.buffer, this.take(count * 4), count); }
  u8(count: number) { return new Uint8Array(this.buffer, this.take(count), count); }

  private take(bytes: number): number {
    const here = this.offset;
    this.offset = Math.ceil((here + bytes) / 8) * 8;
    return here;
  }
}
