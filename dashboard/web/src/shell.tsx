// Around every page: navigation, search, the time cursor, and what everyone must hear.

import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { clock, cursor, edge, follow, following, pan, span, toggleFollow, zoom } from "./cursor";
import { useGroupColours } from "./feed/groups";
import { useFeed, usePresent } from "./feed/use";
import { hello, link } from "./feed/socket";
import { isReport } from "./feed/report";
import type { Overview, System } from "./feed/types";
import { helpOpen, searchOpen } from "./keyboard";
import { PAGES } from "./pages";
import { Boundary } from "./parts/boundary";
import { announce, Announcer } from "./parts/announce";
import { clockTime, micros } from "./parts/format";
import { Help } from "./parts/help";
import { Scrubber } from "./parts/scrubber";
import { Search } from "./parts/search";
import { address, route } from "./router";
import { theme, toggleTheme } from "./theme";

const menuOpen = signal(false);

export function Shell() {
  const { page: pageId, id } = route.value;
  const page = PAGES.find((entry) => entry.id === pageId);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useLayoutEffect(() => {  // before the next key arrives
    menuOpen.value = false;
    document.title = `${page?.name ?? "Not found"} – Weft`;
    if (first.current) { first.current = false; return; }
    main.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [pageId, id]);
  const View = page?.view;
  return (
    <div class="shell">
      <Side current={pageId} skip={() => main.current?.focus()} />
      <header class="top">
        <TopRow />
        <Scrubber />
        <LinkBanner />
      </header>
      <main class={`main ${link.value === "lost" ? "stale" : ""}`} ref={main} tabIndex={-1}>
        {View ? <Boundary key={pageId}><View id={id} /></Boundary> : <p>There is no page “{pageId}”. <a href="#/overview">Go to the overview</a>.</p>}
      </main>
      <Announcer />
      <Help />
      <Search />
    </div>
  );
}

function Side({ current, skip }: { current: string; skip(): void }) {
  useGroupColours();
  const { body } = useFeed<Overview>("overview");
  const { body: system } = usePresent<System>("system", 0.2);
  const alerts = Object.values(body?.alerts ?? {});
  const worst = alerts.map(({ text }) => text).join(" ");
  useEffect(() => { if (worst) announce(`${alerts.length} alert${alerts.length === 1 ? "" : "s"}: ${worst}`); }, [worst]);
  const parts = [...new Set(PAGES.map(({ part }) => part))];
  return (
    <nav id="menu" class={`side ${menuOpen.value ? "open" : ""}`} aria-label="Pages">
      <button class="skip" onClick={skip}>Skip to the page</button>
      <a class="brand" href="#/overview"><Mark />Weft</a>
      {parts.map((part) => (
        <div key={part}>
          <h2>{part}</h2>
          <ul>
            {PAGES.filter((page) => page.part === part).map(({ id, name, letter }) => (
              <li key={id}>
                <a href={address(id)} aria-current={id === current ? "page" : undefined} aria-keyshortcuts={`g ${letter}`}>
                  {name}
                  {id === "overview" && alerts.length > 0 && <span class="badge">{alerts.length}<span class="visually-hidden"> alerts</span></span>}
                </a>
              </li>
            ))}
          </ul>
        </div>
      ))}
      <div class="foot">
        {system && <span>Weft {system.version} on {system.scheduler.host}</span>}
        <span class="tools">
          <button class="plain" aria-haspopup="dialog" onClick={() => { helpOpen.value = true; }}><kbd>?</kbd> Keyboard help</button>
          <button class="plain theme" onClick={toggleTheme}>{theme.value === "dark" ? "Light colours" : "Dark colours"}</button>
        </span>
      </div>
    </nav>
  );
}

function TopRow() {
  const live = following.value;
  const history = hello.value?.mode === "history" || isReport;
  const words = history ? "End" : live ? "Live" : "Paused";
  useEffect(() => { if (!live) announce(`Paused at ${clockTime(cursor.peek())}.`); else announce("Following the present."); }, [live]);
  void clock.value;
  return (
    <div class="row">
      <button class="menu" aria-expanded={menuOpen.value} aria-controls="menu" onClick={() => { menuOpen.value = !menuOpen.value; }}>Menu</button>
      <button class="find" aria-haspopup="dialog" onClick={() => { searchOpen.value = true; }}>
        <span>Search<span class="words"> tasks, groups, workers</span></span><kbd>/</kbd>
      </button>
      <div class="time" role="group" aria-label="Time">
        <span class="tools buttons">
          <button aria-label="Earlier" onClick={() => pan(-1)}>←</button>
          <button aria-label="Later" onClick={() => pan(1)} disabled={live}>→</button>
          <button aria-label="Show less time" onClick={() => zoom(0.5)}>+</button>
          <button aria-label="Show more time" onClick={() => zoom(2)}>−</button>
          <span class="dim" title="How much time charts and the timeline show">{micros(span.value)}</span>
        </span>
        <output data-id="time">{clockTime(edge())}</output>
        <button class="live" aria-pressed={live} onClick={live ? toggleFollow : follow}
          title={live ? "Follows the present; press to pause (space)" : "Shows the past; press to follow (space)"}>{words}</button>
      </div>
      <button class="plain extra" aria-label={theme.value === "dark" ? "Light colours" : "Dark colours"} onClick={toggleTheme}>{theme.value === "dark" ? "☀" : "☾"}</button>
      <button class="plain extra" aria-label="Help" aria-haspopup="dialog" onClick={() => { helpOpen.value = true; }}>?</button>
    </div>
  );
}

function LinkBanner() {
  const lost = link.value === "lost" && !isReport;
  useEffect(() => { if (lost) announce("The link to the scheduler was lost."); }, [lost]);
  if (!lost) return null;
  return <p class="banner">The link to the scheduler was lost; what you see is as of {clockTime(edge())}. Trying again… If this stays, look whether weft-scheduler still runs.</p>;
}

function Mark() {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true">
      <path d="M1 4h14M1 8h14M1 12h14" stroke="var(--accent)" stroke-width="1.8" />
      <path d="M4 1.5v5M8 5.5v5M12 1.5v5M4 9.5v5M12 9.5v5" stroke="var(--group-1)" stroke-width="1.8" />
    </svg>
  );
}
