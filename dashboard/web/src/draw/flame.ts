// A tree of stacks as boxes: depth down, time across.

import type { ProfileNode } from "../feed/types";

export interface Flame {
  node: ProfileNode;
  depth: number;
  from: number;        // share of the width
  to: number;
  self: number;        // samples in it and in nothing it called
  path: string[];      // names below the root
  recursive: boolean;  // it is already above itself
}

const NARROWEST = 1e-4;

/** Every frame wide enough to be seen, parents first. */
export function layOut(root: ProfileNode): Flame[] {
  const frames: Flame[] = [];
  const open: Flame[] = [{ node: root, depth: 0, from: 0, to: 1, self: 0, path: [], recursive: false }];
  for (let frame = open.pop(); frame; frame = open.pop()) {
    frames.push(frame);
    const children = frame.node.children ?? [];
    frame.self = frame.node.value - children.reduce((sum, child) => sum + child.value, 0);
    let from = frame.from;
    for (const node of children) {
      const to = from + node.value / Math.max(1, root.value);
      if (to - from >= NARROWEST) {
        open.push({ node, depth: frame.depth + 1, from, to, self: 0, path: [...frame.path, node.name], recursive: frame.path.includes(node.name) });
      }
      from = to;
    }
  }
  return frames;
}
