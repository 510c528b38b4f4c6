// Small choices kept in this browser. Storage may be forbidden; then they last as long as the page.

const PREFIX = "weft.";

export function remembered(name: string, otherwise: string): string {
  try { return localStorage.getItem(PREFIX + name) ?? otherwise; } catch { return otherwise; }
}

export function remember(name: string, value: string): void {
  try { localStorage.setItem(PREFIX + name, value); } catch { /* it lasts as long as the page */ }
}
