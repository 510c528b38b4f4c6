// A text of any length: a few lines of it, and all of it when asked for.

import { useState } from "preact/hooks";

const SHORT = 160;

export function Long({ text }: { text: string }) {
  const [all, setAll] = useState(false);
  const short = text.length <= SHORT && text.split("\n").length <= 3;
  return (
    <span class="long">
      <span class={`wrap ${short || all ? "" : "cut"}`}>{text}</span>
      {!short && <button class="plain" aria-expanded={all} onClick={() => setAll(!all)}>{all ? "Show less" : "Show all of it"}</button>}
    </span>
  );
}
