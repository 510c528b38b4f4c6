// One bar of memory: values in memory, values on disk, and the rest of the process.

import type { Memory } from "../feed/types";
import type { Part } from "./basics";

export const MEMORY_LEGEND: [string, string][] = [
  ["values in memory", "fill-managed"], ["other", "fill-unmanaged"], ["values on disk", "fill-spilled"],
];

/** Shares of `limit`; what is on disk is shown behind what is in memory. */
export function memoryParts(memory: Partial<Memory>, limit: number): Part[] {
  const { managed_bytes = 0, spilled_bytes = 0, unmanaged_bytes = 0 } = memory;
  const of = Math.max(limit, managed_bytes + spilled_bytes + unmanaged_bytes, 1);
  return [
    { share: managed_bytes / of, fill: "fill-managed" },
    { share: unmanaged_bytes / of, fill: "fill-unmanaged" },
    { share: spilled_bytes / of, fill: "fill-spilled" },
  ];
}
