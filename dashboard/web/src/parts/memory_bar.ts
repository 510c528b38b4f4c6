// One bar of memory: values in memory, values on disk, and the rest of the process.

import type { Memory } from "../feed/types";
import type { Part } from "./basics";

export const MEMORY_LEGEND: [string, string][] = [
  ["values in memory", "fill-managed"], ["values on disk", "fill-spilled"], ["other", "fill-unmanaged"],
];

/** Shares of `limit`; managed counts what is on disk too, so that part is shown once, as spilled. */
export function memoryParts(memory: Partial<Memory>, limit: number): Part[] {
  const { managed_bytes = 0, spilled_bytes = 0, unmanaged_bytes = 0 } = memory;
  const of = Math.max(limit, managed_bytes + unmanaged_bytes, 1);
  return [
    { share: (managed_bytes - spilled_bytes) / of, fill: "fill-managed" },
    { share: spilled_bytes / of, fill: "fill-spilled" },
    { share: unmanaged_bytes / of, fill: "fill-unmanaged" },
  ];
}
