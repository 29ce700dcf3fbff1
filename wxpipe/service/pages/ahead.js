// The ensemble as a map: after how many of the analogs each cell was under cold cloud, and how often it is anyway.

import { HOURS } from "./films.js";
import { $, address, asked, choices, drawn, made } from "./made.js";
import { percent, say, utc } from "./words.js";

const LAYERS = ["difference", "share", "usual"], WIDTH = 480, FULL = 0.5, TOLD = 0.3;
const map = { found: null, source: null, lead: 0, layer: "difference", cell: null, end: 0, last: 0, stopping: null };
let chosen = () => {};

/** @param told is called with {lead} or {layer} that somebody chose */
export function start(told) {
  chosen = told;
}

/** Asks for the ensemble of a question; what was asked before is forgotten. */
export async function load(words, source, answer, look) {
  map.stopping?.abort();
  const stopping = new AbortController();
  Object.assign(map, { found: null, source, cell: null, stopping, layer: LAYERS.includes(look.layer) ? look.layer : "difference" });
  tell(say("aheadWait"));
  try {
    const found = await asked(address("/v1/ahead", { ...words, ahead: HOURS, step: 3 }), stopping.signal);
    // A clip may end after its last good frame, and there is no other picture to lay beneath.
    const clip = answer.unit === "clip" ? await asked(`/v1/clips/${answer.query.clip_id}`, stopping.signal) : null;
    map.end = Date.parse(answer.query.end ?? answer.query.time);
    map.last = clip ? Date.parse(clip.frames.at(-1).time) : map.end;
    Object.assign(map, { found, lead: Number(look.lead) || found.steps[0]?.hours });
    show();
  } catch (error) {
    if (error.name !== "AbortError") tell(say("aheadNone", { why: error.message }));
  }
}

/** When the picture beneath the map was: then, where the archive knows of the query's own future, else its last frame. */
const under = (step) => new Date(step.came ? map.end + step.hours * 3.6e6 : map.last).toISOString();

function beneath(step) {
  const time = under(step).slice(0, 16).replace(/[-:]/g, ""), { source, found } = map;
  return address(`/v1/frames/${source.source}/${time}Z/${found.channel}.webp`, { width: Math.max(500, source.reduced[1] + 1) });
}

/** Follows the film: the nearest hour that is told. */
export function follow(hours) {
  if (!map.found || !hours) return;
  const near = map.found.steps.reduce((best, one) => (Math.abs(one.hours - hours) < Math.abs(best.hours - hours) ? one : best));
  if (near.hours !== map.lead) { map.lead = near.hours; show(); }
}

export function show() {
  if (!map.found) return;
  const step = map.found.steps.find((one) => one.hours === map.lead) ?? map.found.steps[0];
  if (!step) return tell(say("aheadNone", { why: say("noAnalog") }));
  const held = document.activeElement?.closest("#ahead [data-held]")?.dataset.held;
  const body = $("ahead-body"), { found } = map;
  const leads = group("steps", choices(found.steps.map((one) => one.hours), step.hours, (hours) => `+${hours}`, (lead) => choose({ lead }, true)));
  const layers = group("layer", choices(LAYERS, map.layer, say, (layer) => choose({ layer }, false)));
  const told = made("output", say("hint"), { className: "soft" });
  const known = step.share?.some((value) => value !== null);
  const words = known ? say("aheadIs", { n: step.analogs, hours: step.hours, m: step.usual_of, are: found.are }) : say("aheadNone", { why: say("noAnalog") });
  body.replaceChildren(leads, layers, picture(step, told), legend(step), told, made("p", words, { className: "soft" }), made("p", cold(found.cold), { className: "soft" }));
  body.ariaBusy = "false";
  if (held) body.querySelector(`[data-held="${held}"] :is([aria-pressed=true])`)?.focus();
}

function choose(change, follows) {
  Object.assign(map, change);
  chosen(change, follows);
  show();
}

function group(word, buttons) {
  const made_ = made("div", "", { className: "choices", role: "group", ariaLabel: say(word) });
  made_.dataset.held = word;
  made_.append(...buttons);
  return made_;
}

function picture(step, told) {
  const n = map.found.grid, { rows, columns, title_rows: title } = map.source;
  const whole = (WIDTH * rows) / columns, top = (whole * (title ?? 0)) / rows, height = whole - top;
  const wide = WIDTH / n, high = height / n;
  const parts = [drawn("rect", { width: WIDTH, height, fill: "#10161c" }),
    drawn("image", { href: beneath(step), y: -top, width: WIDTH, height: whole, preserveAspectRatio: "none", class: "under" })];
  for (let cell = 0; cell < n * n; cell++) {
    const x = (cell % n) * wide, y = Math.floor(cell / n) * high, value = valueOf(step, cell);
    if (value === null) { parts.push(drawn("rect", { class: "unknown", x, y, width: wide, height: high })); continue; }
    const name = value < 0 ? "less" : map.layer === "difference" ? "more" : "much";
    const opacity = Math.min(1, Math.abs(value) / (map.layer === "difference" ? FULL : 1)) * 0.85;
    if (opacity > 0.04) parts.push(drawn("rect", { class: name, x, y, width: wide + 0.3, height: high + 0.3, "fill-opacity": opacity.toFixed(2) }));
    if (map.layer === "difference" && Math.abs(value) >= TOLD) {
      parts.push(drawn("text", { class: "sign", x: x + wide / 2, y: y + high / 2 + 4.5, "text-anchor": "middle" }, value < 0 ? "−" : "+"));
    }
  }
  parts.push(...outline(step.came, n, wide, high));
  const cursor = drawn("rect", { class: "cursor", width: wide, height: high, visibility: "hidden" });
  const svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${height}`, "aria-hidden": "true" }, ...parts, cursor);
  const frame = made("div", "", { className: "map", tabIndex: 0, role: "application", ariaLabel: say("map", { hours: step.hours }) });
  frame.append(svg);
  const at = (cell) => {
    map.cell = cell;
    cursor.setAttribute("x", (cell % n) * wide);
    cursor.setAttribute("y", Math.floor(cell / n) * high);
    cursor.setAttribute("visibility", "visible");
    told.textContent = numbers(step, cell, n);
  };
  listen(frame, n, at);
  if (map.cell !== null) at(map.cell);
  return frame;
}

/** The edge of where the query's own future, as far as the archive knows it, had cold cloud. */
function outline(came, n, wide, high) {
  if (!came) return [];
  const there = (x, y) => x >= 0 && y >= 0 && x < n && y < n && Boolean(came[y * n + x]);
  let path = "";
  for (let y = 0; y <= n; y++) for (let x = 0; x <= n; x++) {
    if (there(x, y) !== there(x, y - 1)) path += `M${x * wide} ${y * high}h${wide}`;
    if (there(x, y) !== there(x - 1, y)) path += `M${x * wide} ${y * high}v${high}`;
  }
  return [drawn("path", { class: "came", d: path })];
}

function listen(frame, n, at) {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const within = (value) => Math.max(0, Math.min(n - 1, value));
  frame.addEventListener("pointermove", (event) => {
    const box = frame.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((part) => within(Math.floor(part * n)));
    if (map.cell !== y * n + x) at(y * n + x);
  });
  frame.addEventListener("focus", () => { if (map.cell === null && frame.matches(":focus-visible")) at(Math.floor(n / 2) * (n + 1)); });
  frame.addEventListener("keydown", (event) => {
    if (!(event.key in moves)) return;
    event.preventDefault();
    const cell = map.cell ?? Math.floor(n / 2) * (n + 1), [x, y] = moves[event.key];
    at(within(Math.floor(cell / n) + y) * n + within((cell % n) + x));
  });
}

function valueOf(step, cell) {
  const share = step.share?.[cell], usual = step.usual?.[cell];
  if (map.layer === "usual") return usual ?? null;
  if (share === null || share === undefined) return null;
  if (map.layer === "share") return share;
  return usual === null || usual === undefined ? null : share - usual;
}

function numbers(step, cell, n) {
  const share = step.share?.[cell], usual = step.usual?.[cell], where = { x: (cell % n) + 1, y: Math.floor(cell / n) + 1 };
  if (typeof share !== "number" || typeof usual !== "number") return say("cellUnknown", where);
  const points = Math.round((share - usual) * 100);
  return say("cell", { ...where, share: percent(share), usual: percent(usual), difference: `${points < 0 ? "−" : "+"}${Math.abs(points)}` });
}

function legend(step) {
  const difference = map.layer === "difference", box = made("div", "", { className: "legend" }), ends = made("div", "", { className: "ends" });
  ends.append(...(difference ? ["− 50", "0", "+ 50"] : ["0", "50", "100 %"]).map((text) => made("span", text)));
  box.append(made("div", "", { className: `ramp ${difference ? "difference" : "share"}` }), ends,
    made("div", say(difference ? "legendDifference" : "legendShare")));
  if (step.came) box.append(made("div", say("came_"), { className: "outlined" }));
  box.append(made("div", say("beneath", { time: utc(under(step)) })));
  return box;
}

function cold(described) {
  return say(described.kelvin === null ? "uncalibrated" : "colder", { ...described, share: percent(described.share) });
}

function tell(words) {
  $("ahead-body").replaceChildren(made("p", words, { className: "soft" }));
}
