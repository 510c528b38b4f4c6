// A table that sorts by any column and shows the first rows of many. Scrolls inside its own region on narrow screens.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { count } from "./format";

export interface Column<Row> {
  name: string;
  /** What sorts: a number or a text. Without it the column does not sort. */
  value?(row: Row): number | string | null | undefined;
  /** What shows; the value itself when left out. */
  cell?(row: Row): ComponentChildren;
  number?: boolean;
  /** Long text: cut with an ellipsis. */
  text?: boolean;
}
interface Props<Row> {
  name: string;
  rows: Row[];
  columns: Column<Row>[];
  id(row: Row): string | number;
  sort?: string;
  ascending?: boolean;
  tall?: boolean;
}
const ROWS_SHOWN = 200;

export function Table<Row>({ name, rows, columns, id, sort, ascending = false, tall = true }: Props<Row>) {
  const [order, setOrder] = useState({ by: sort, up: ascending });
  const [shown, setShown] = useState(ROWS_SHOWN);
  const by = columns.find((column) => column.name === order.by)?.value;
  const sorted = by ? [...rows].sort((a, b) => compare(by(a), by(b)) * (order.up ? 1 : -1)) : rows;
  const choose = (column: Column<Row>) =>
    setOrder({ by: column.name, up: order.by === column.name ? !order.up : !column.number });
  return (
    <>
      <div class={`scroll ${tall ? "tall" : ""}`} role="group" aria-label={name} tabIndex={0}>
        <table>
          <caption class="visually-hidden">{name}</caption>
          <thead>
            <tr>{columns.map((column) => <Head key={column.name} column={column} order={order} choose={choose} />)}</tr>
          </thead>
          <tbody>
            {sorted.slice(0, shown).map((row) => (
              <tr key={id(row)}>
                {columns.map((column) => (
                  <td key={column.name} class={`${column.number ? "num" : ""} ${column.text ? "text" : ""}`}>
                    {column.cell ? column.cell(row) : column.value?.(row)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {sorted.length > shown && (
        <p>
          <button onClick={() => setShown(shown + ROWS_SHOWN)}>Show {Math.min(ROWS_SHOWN, sorted.length - shown)} more</button>{" "}
          <span class="dim">{count(shown)} of {count(sorted.length)} rows</span>
        </p>
      )}
    </>
  );
}

function Head<Row>({ column, order, choose }: {
  column: Column<Row>; order: { by?: string; up: boolean }; choose(column: Column<Row>): void;
}) {
  const sorted = order.by === column.name;
  return (
    <th scope="col" class={column.number ? "num" : ""} aria-sort={sorted ? (order.up ? "ascending" : "descending") : undefined}>
      {column.value
        ? <button onClick={() => choose(column)}>{column.name}<span class="arrow" aria-hidden="true">{sorted ? (order.up ? "↑" : "↓") : ""}</span></button>
        : column.name}
    </th>
  );
}

type Sortable = number | string | null | undefined;
function compare(a: Sortable, b: Sortable): number {
  if (typeof a === "string" && typeof b === "string") return a.localeCompare(b, "en", { numeric: true });
  return Number(a ?? -Infinity) - Number(b ?? -Infinity) || 0;
}
