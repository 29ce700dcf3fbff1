// What happened after the analogs: each kind of event with how often it did, how often it does, and how sure that is.

import { $, drawn, made } from "./made.js";
import { percent, say } from "./words.js";

const HOURS = "12", WIDTH = 260, HEIGHT = 22;

/** @param ask is called with the hours within which events are wanted */
export function showEvents(odds, ask) {
  const body = $("events-body");
  if (odds === undefined || odds === null) {
    const button = made("button", say("askEvents"), { type: "button" });
    button.addEventListener("click", () => ask(HOURS));
    return body.replaceChildren(button);
  }
  const told = odds.filter((one) => one.analogs || one.unknown);
  if (!told.length) return body.replaceChildren(made("p", say("noEvents"), { className: "soft" }));
  const list = made("ul", "", { className: "events" });
  list.append(...told.map(item));
  return body.replaceChildren(list);
}

function item(one) {
  const where = one.region === null ? "" : say("where_", { region: one.region });
  const entry = made("li");
  entry.append(made("strong", say("event", { type: one.type, where, hours: one.within_hours, n: one.occurred, m: one.analogs })));
  if (one.interval) entry.append(scale(one));
  const words = [];
  if (one.climatology !== null) words.push(say("usually", { n: rounded(one.climatology * one.analogs), m: one.analogs }));
  if (one.interval) words.push(say("interval", { low: percent(one.interval[0]), high: percent(one.interval[1]) }));
  if (one.p_adjusted !== null) words.push(`p ${one.p_adjusted < 0.001 ? "< .001" : `= ${one.p_adjusted.toFixed(3).replace(/^0/, "")}`}`);
  if (one.unknown) words.push(say("outside", { n: one.unknown }));
  const line = made("p", words.join(" · "), { className: "soft" });
  if (one.ranks.length) line.append(made("span", words.length ? " · " : ""), ...links(one.ranks));
  entry.append(line);
  return entry;
}

function links(ranks) {
  const [before, behind] = say("of", { ranks: "|" }).split("|");
  const parts = ranks.flatMap((rank, place) => [made("span", place ? ", " : before), made("a", String(rank), { href: `#analog-${rank}` })]);
  return [...parts, made("span", behind)];
}

/** A line from 0 to 1: the interval, the share of the analogs, and a tick where the usual is. */
function scale(one) {
  const x = (share) => 4 + share * (WIDTH - 8), middle = HEIGHT / 2;
  const parts = [
    drawn("line", { class: "rule", x1: x(0), x2: x(1), y1: middle, y2: middle }),
    drawn("line", { class: "range", x1: x(one.interval[0]), x2: x(one.interval[1]), y1: middle, y2: middle }),
    drawn("circle", { class: "mean", cx: x(one.occurred / one.analogs), cy: middle, r: 5 }),
  ];
  if (one.climatology !== null) parts.push(drawn("line", { class: "chance", x1: x(one.climatology), x2: x(one.climatology), y1: 2, y2: HEIGHT - 2 }));
  return drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "figure odds", "aria-hidden": "true" }, ...parts);
}

const rounded = (value) => (value >= 10 ? value.toFixed(0) : value.toPrecision(2).replace(/\.?0+$/, ""));
