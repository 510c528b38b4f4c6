import { render } from "preact";
import { present, seek, span } from "./cursor";
import { isReport } from "./feed/report";
import { connect, hello } from "./feed/socket";
import { listenToKeys } from "./keyboard";
import { route } from "./router";
import { Shell } from "./shell";
import "./style/index.css";

// The feed's clock: nothing can be placed in time before the greeting, but the page need not wait for it.
hello.subscribe((greeting) => {
  const at = Number(route.peek().query.get("at"));
  if (greeting && at > 0) seek(at);
});
connect();
if (isReport) span.value = Math.max(1e6, present());  // all that it holds
listenToKeys();
render(<Shell />, document.getElementById("app")!);
