// How good the best analog is: a sentence, and a figure of what such analogs were worth hours later.

import { $, drawn, made } from "./made.js";
import { percent, say, score } from "./words.js";

const WIDTH = 320, HEIGHT = 128, LEFT = 30, RIGHT = 6, TOP = 8, BOTTOM = 24;

export function showQuality(quality) {
  const section = $("quality");
  section.replaceChildren(made("h2", say("quality")));
  section.dataset.good = String(quality.good ?? "unknown");
  if (quality.percentile === null || quality.percentile === undefined) {
    section.append(made("p", say("unjudged", { why: quality.why || say("unknown") })));
    return;
  }
  const verdict = made("p", "", { className: "verdict" });
  verdict.append(made("span", quality.good ? "✓" : "⚠", { className: "sign", ariaHidden: "true" }), made("strong", say(quality.good ? "good" : "noGood")));
  const words = say("worse", { share: percent(1 - quality.percentile), n: quality.compared.toLocaleString(), are: quality.are });
  section.append(verdict, made("p", words));
  const after = (quality.after ?? []).filter((one) => one.similarity !== null);
  if (after.length) section.append(made("p", say("after"), { className: "soft" }), figure(after), list(after));
}

function figure(after) {
  const y = (value) => TOP + (1 - value) * (HEIGHT - TOP - BOTTOM);
  const x = (place) => LEFT + ((place + 0.5) / after.length) * (WIDTH - LEFT - RIGHT);
  const parts = [0, 0.5, 1].flatMap((value) => [
    drawn("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
    drawn("text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, score(value)),
  ]);
  after.forEach((one, place) => {
    if (one.low !== null && one.high !== null) parts.push(drawn("line", { class: "range", x1: x(place), x2: x(place), y1: y(one.high), y2: y(one.low) }));
    if (one.by_chance !== null) parts.push(drawn("line", { class: "chance", x1: x(place) - 17, x2: x(place) + 17, y1: y(one.by_chance), y2: y(one.by_chance) }));
    parts.push(drawn("circle", { class: "mean", cx: x(place), cy: y(one.similarity), r: 5 }));
    parts.push(drawn("text", { x: x(place), y: HEIGHT - 6, "text-anchor": "middle" }, `+${one.hours} h`));
  });
  const told = after.map((one) => `+${one.hours} h ${score(one.similarity)}`).join(", ");
  return drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "figure", "aria-label": `${say("after")} ${told}` }, ...parts);
}

function list(after) {
  const table = made("table"), head = made("tr"), body = made("tbody");
  for (const word of ["lead", "mean", "range", "chance"]) head.append(made("th", say(word), { scope: "col", className: word }));
  for (const one of after) {
    const row = made("tr");
    const range = one.low === null || one.high === null ? "–" : `${score(one.low)} – ${score(one.high)}`;
    const chance = one.by_chance === null ? "–" : score(one.by_chance);
    row.append(made("th", `+${one.hours} h`, { scope: "row" }), ...[score(one.similarity), range, chance].map((text) => made("td", text)));
    body.append(row);
  }
  table.append(made("thead"), body);
  table.tHead.append(head);
  return table;
}
