// Where in the archive the analogs lie: a row a year, a place a day; months with pictures are shaded.

import { began } from "./answers.js";
import { $, asked, drawn, made } from "./made.js";
import { say, score, spoken, utc } from "./words.js";

const ROW = 20, LANE = 18, LEFT = 42, TOP = 16, DAY = 86_400_000, SEASON = 45;
const shown = { answer: null, source: null, months: {}, width: 0 };

export async function load(answer, source) {
  Object.assign(shown, { answer, source });
  draw();
  try {
    const coverage = await asked("/v1/coverage");
    shown.months = coverage.sources[source.source]?.months ?? {};
    draw();
  } catch {
    shown.months = {};  // without what there is around them, the analogs are where they are
  }
}

export function draw() {
  if (!shown.answer) return;
  const box = $("calendar-body"), { answer } = shown;
  const width = Math.max(300, box.clientWidth), places = [answer.query, ...answer.analogs];
  const years = [...new Set([...Object.keys(shown.months).map((month) => month.slice(0, 4)), ...places.map((place) => began(place).slice(0, 4))])].sort();
  const at = (day) => LEFT + ((width - LEFT - 12) * day) / 366;
  const rows = laid(years, places, at), row = (year) => rows.get(year).top, height = (year) => rows.get(year).height;
  const parts = [...months(at, row, height), ...season(at, years, row, height), ...grid(years, row, height, width)];
  for (const [place, { x, y }] of rows.marks) parts.push(place.rank ? mark(place, x, y) : asked_(place, x, y));
  const whole = row(years.at(-1)) + height(years.at(-1)) + 4;
  const held = document.activeElement?.closest?.("#calendar-body [data-rank]")?.dataset.rank;
  const open = box.querySelector("details")?.open ?? false;
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${whole}`, width, height: whole, role: "group", "aria-label": say("calendarIs") }, ...parts);
  box.replaceChildren(svg, list(open));
  if (held) box.querySelector(`[data-rank="${held}"]`)?.focus();
}

const dayOf = (time) => (Date.parse(time) - Date.parse(`${time.slice(0, 4)}-01-01T00:00:00Z`)) / DAY;
const firstOf = (month) => dayOf(`2012-${String(month).padStart(2, "0")}-01T00:00:00Z`);

/** Rows as high as their marks need: those that would cover each other are below each other. */
function laid(years, places, at) {
  const rows = new Map(), marks = new Map();
  let top = TOP;
  for (const year of years) {
    const lanes = [];
    for (const place of places.filter((one) => began(one).startsWith(year))) {
      const x = at(dayOf(began(place))), free = lanes.findIndex((taken) => taken.every((other) => Math.abs(other - x) >= LANE));
      const lane = free < 0 ? lanes.push([]) - 1 : free;
      lanes[lane].push(x);
      marks.set(place, { x, y: top + lane * LANE + ROW / 2 });
    }
    const height = Math.max(ROW, lanes.length * LANE + 2);
    rows.set(year, { top, height });
    top += height;
  }
  return Object.assign(rows, { marks });
}

function months(at, row, height) {
  return Object.entries(shown.months).filter(([, found]) => found.slots?.good).map(([name, found]) => {
    const month = Number(name.slice(5)), x = at(firstOf(month)), share = found.slots.good / Math.max(found.slots.scheduled ?? 1, found.slots.good);
    const title = drawn("title", {}, `${name}: ${Math.round(share * 100)} % ${say("pictures")}`);
    const end = month === 12 ? 366 : firstOf(month + 1);
    return drawn("rect", { class: "there", x, y: row(name.slice(0, 4)) + 2, width: at(end) - x - 1, height: height(name.slice(0, 4)) - 4, "fill-opacity": (0.25 + 0.75 * share).toFixed(2) }, title);
  });
}

/** The season that the filter leaves, which may go over the turn of the year. */
function season(at, years, row, height) {
  const wanted = shown.answer.filters?.season;
  if (!wanted || !years.length) return [];
  const [month, day] = wanted.split("-").map(Number), middle = firstOf(month) + day - 1, half = shown.answer.filters.season_days ?? SEASON;
  const [from, to] = [middle - half, middle + half];
  const spans = from < 0 ? [[0, to], [from + 366, 366]] : to > 366 ? [[from, 366], [0, to - 366]] : [[from, to]];
  return spans.map(([a, b]) => drawn("rect", { class: "season", x: at(a), y: TOP, width: at(b) - at(a), height: row(years.at(-1)) + height(years.at(-1)) - TOP }, drawn("title", {}, say("inSeason"))));
}

function grid(years, row, height, width) {
  const name = new Intl.DateTimeFormat(spoken(), { month: width > 560 ? "short" : "narrow", timeZone: "UTC" });
  const space = (width - LEFT - 12) / 366;
  const heads = Array.from({ length: 12 }, (_, month) => drawn("text", { x: LEFT + space * (firstOf(month + 1) + 2), y: 11 }, name.format(Date.UTC(2012, month, 5))));
  const rows = years.flatMap((year) => [drawn("text", { x: 2, y: row(year) + height(year) / 2 + 4 }, year),
    drawn("line", { class: "rule", x1: LEFT, x2: width - 12, y1: row(year) + height(year), y2: row(year) + height(year) })]);
  return [...heads, ...rows];
}

function asked_(query, x, y) {
  const title = drawn("title", {}, `${say("query")}, ${utc(began(query))}`);
  return drawn("path", { class: "asked", d: `M${x} ${y - 8}L${x + 8} ${y}L${x} ${y + 8}L${x - 8} ${y}Z` }, title);
}

function mark(analog, x, y) {
  const time = began(analog);
  const similar = analog.similarity === null ? "" : `, ${say("similarity")} ${score(analog.similarity)}`;
  const words = `${say("analog")} ${analog.rank}, ${utc(time)}${similar}`;
  return drawn("a", { href: `#analog-${analog.rank}`, class: "mark", "aria-label": words, "data-rank": analog.rank, transform: `translate(${x} ${y})` },
    drawn("title", {}, words), drawn("circle", { r: analog.rank === 1 ? 9 : 8 }), drawn("text", { y: 4, "text-anchor": "middle" }, String(analog.rank)));
}

function list(open) {
  const details = made("details", "", { open }), entries = made("ol");
  entries.append(...shown.answer.analogs.map((analog) => {
    const entry = made("li");
    const similar = analog.similarity === null ? "" : `, ${say("similarity")} ${score(analog.similarity)}`;
    entry.append(made("a", utc(began(analog)), { href: `#analog-${analog.rank}` }), made("span", similar));
    return entry;
  }));
  details.append(made("summary", say("asList")), entries);
  return details;
}

new ResizeObserver(([entry]) => {
  const width = Math.round(entry.contentRect.width);
  if (width !== shown.width) { shown.width = width; draw(); }
}).observe($("calendar-body"));
