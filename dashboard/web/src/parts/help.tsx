// The keyboard help, made from the table of shortcuts that is obeyed.

import { useLayoutEffect, useRef } from "preact/hooks";
import type { Signal } from "@preact/signals";
import { helpOpen, SHORTCUTS, shortcutsOn } from "../keyboard";
import { PAGES } from "../pages";

/** A dialog that is open while the signal is true; the browser keeps the focus inside and gives it back. */
export function useDialog(open: Signal<boolean>) {
  const dialog = useRef<HTMLDialogElement>(null);
  const wanted = open.value;
  useLayoutEffect(() => {  // before the next key arrives
    if (wanted) dialog.current?.showModal();
    else if (dialog.current?.open) dialog.current.close();
  }, [wanted]);
  return dialog;
}

export function Help() {
  const dialog = useDialog(helpOpen);
  return (
    <dialog ref={dialog} aria-label="Keyboard help" onClose={() => { helpOpen.value = false; }}>
      {helpOpen.value && (
        <div class="body">
          <header>
            <h2>Keyboard</h2>
            <button onClick={() => { helpOpen.value = false; }}>Close</button>
          </header>
          <Keys keys={SHORTCUTS.map(({ shown, does }) => [shown, does])} />
          <h3>Pages</h3>
          <Keys keys={PAGES.map(({ letter, name }) => [`g ${letter}`, name])} />
          <label class="tools">
            <input type="checkbox" checked={shortcutsOn.value} onChange={(event) => { shortcutsOn.value = event.currentTarget.checked; }} />
            Obey single keys
          </label>
        </div>
      )}
    </dialog>
  );
}

function Keys({ keys }: { keys: [string, string][] }) {
  return (
    <div class="keys">
      {keys.map(([key, does]) => (
        <div key={does}><span>{does}</span><span>{key.split(" ").map((part) => <kbd key={part}>{part}</kbd>)}</span></div>
      ))}
    </div>
  );
}
