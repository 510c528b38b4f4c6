// Every page: its address, its name, its letter after g, and what draws it.

import type { ComponentType } from "preact";
import { Overview } from "./overview";
import { Timeline } from "./timeline";
import { GraphPage } from "./graph";
import { GroupsPage } from "./groups";
import { TasksPage } from "./tasks";
import { WorkersPage } from "./workers";
import { MemoryPage } from "./memory";
import { NetworkPage } from "./network";
import { ProfilePage } from "./profile";
import { EventsPage } from "./events";
import { LogsPage } from "./logs";
import { RunsPage } from "./runs";
import { SystemPage } from "./system";

export interface PageEntry { id: string; name: string; letter: string; part: string; view: ComponentType<{ id: string }> }

export const PAGES: PageEntry[] = [
  { id: "overview", name: "Overview", letter: "o", part: "Now", view: Overview },
  { id: "timeline", name: "Timeline", letter: "t", part: "Now", view: Timeline },
  { id: "graph", name: "Graph", letter: "g", part: "Work", view: GraphPage },
  { id: "groups", name: "Groups", letter: "r", part: "Work", view: GroupsPage },
  { id: "tasks", name: "Tasks", letter: "k", part: "Work", view: TasksPage },
  { id: "workers", name: "Workers", letter: "w", part: "Machines", view: WorkersPage },
  { id: "memory", name: "Memory", letter: "m", part: "Machines", view: MemoryPage },
  { id: "network", name: "Network", letter: "n", part: "Machines", view: NetworkPage },
  { id: "profile", name: "Profile", letter: "p", part: "Diagnosis", view: ProfilePage },
  { id: "events", name: "Events and errors", letter: "e", part: "Diagnosis", view: EventsPage },
  { id: "logs", name: "Logs", letter: "l", part: "Diagnosis", view: LogsPage },
  { id: "runs", name: "Runs", letter: "u", part: "Record", view: RunsPage },
  { id: "system", name: "System", letter: "s", part: "Record", view: SystemPage },
];
