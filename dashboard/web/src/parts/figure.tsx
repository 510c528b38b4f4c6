// A drawing with the two things that make it readable without eyes or a mouse: one sentence, and its table.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

interface Props {
  /** One sentence that says what the picture shows now. */
  says: string;
  table(): ComponentChildren;
  legend?: ComponentChildren;
  tools?: ComponentChildren;
  children: ComponentChildren;
}

export function Figure({ says, table, legend, tools, children }: Props) {
  const [asTable, setAsTable] = useState(false);
  return (
    <figure>
      {asTable ? table() : <div class="plot" role="img" aria-label={says}>{children}</div>}
      <figcaption class="tools">
        {legend}
        <span class="tools" style={{ marginLeft: "auto" }}>
          {tools}
          <button class="plain" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>Show as table</button>
        </span>
      </figcaption>
    </figure>
  );
}
