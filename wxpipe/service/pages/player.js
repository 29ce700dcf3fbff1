// One clock for all films: where it stands, whether it runs, and how far; its slider, its buttons and its keys.

import { every, framesAfter, framesOf, HOURS } from "./films.js";
import { $, made } from "./made.js";
import { say } from "./words.js";

const MILLISECONDS = 160, REST = 5;
const slider = $("frame"), still = matchMedia("(prefers-reduced-motion: reduce)");
const clock = { at: 0, own: 20, after: 24, minutes: 60, span: 6, playing: !still.matches, on: false, rest: 0, films: [] };
let moved = () => {};

/** @param told is called after each step with (at, hours after the clips' end or 0) */
export function start(told) {
  moved = told;
  setInterval(() => { if (clock.playing && clock.films.length && !document.hidden) tick(); }, MILLISECONDS);
}

export const position = () => clock.at;
export const runningOn = () => clock.on;
/** Hours after the clips' end; 0 within them. */
export const hoursAfter = () => (clock.at < clock.own ? 0 : ((clock.at - clock.own + 1) * clock.minutes) / 60);

export function show(films, source, unit) {
  for (const film of clock.films) if (!films.includes(film)) film.stop();
  Object.assign(clock, { films, own: framesOf(source, unit), after: framesAfter(source), minutes: every(source),
    span: unit === "clip" ? source.clip.hours : 0 });
  slider.max = clock.own + clock.after - 1;
  scale();
  for (const film of films) film.load();
  if (clock.on) loadNext();
  go(Math.min(clock.at, slider.max));
}

function loadNext() {
  for (const film of clock.films) film.runOn().then(() => { if (clock.films.includes(film)) draw(); });
}

/** Goes to a frame; one beyond the clips switches running on, for there is nothing else to see there. */
export function go(at) {
  clock.at = Math.max(0, Math.min(Number(slider.max), at));
  if (clock.at >= clock.own && !clock.on) return runOn(true, clock.at);
  draw();
}

export function goHours(hours) {
  play(false);
  go(clock.own - 1 + Math.round((hours * 60) / clock.minutes));
}

export function runOn(on, at = clock.at) {
  clock.on = on;
  clock.at = on || !clock.films.length ? at : Math.min(at, clock.own - 1);
  if (on) loadNext();
  $("run").ariaPressed = String(on);
  draw();
}

export function play(on) {
  clock.playing = on;
  $("play").textContent = say(on ? "pause" : "play");
  $("play").dataset.playing = String(on);
}

export function label() {
  play(clock.playing);
  if (clock.films.length) { scale(); draw(); }
}

export function step(by) {
  const frames = clock.own + (clock.on ? clock.after : 0);
  clock.at = (clock.at + by + frames) % frames;
  draw();
}

/** The last frame stands a little before all begins again. */
function tick() {
  const last = clock.own + (clock.on ? clock.after : 0) - 1;
  if (clock.at === last && clock.rest++ < REST) return;
  clock.rest = 0;
  if (last > 0) step(1);
}

function draw() {
  for (const film of clock.films) film.draw(clock.at);
  const hours = hoursAfter();
  const into = clock.own > 1 ? (clock.at / (clock.own - 1)) * clock.span : 0;
  const words = hours ? say("next", { n: hours }) : say("past", { n: into.toFixed(1) });
  Object.assign(slider, { value: clock.at, ariaValueText: words });
  $("when").textContent = words;
  document.body.classList.toggle("later", hours > 0);
  moved(clock.at, hours);
}

function scale() {
  const all = clock.own + clock.after - 1, marks = [];
  const mark = (at, text, name = "") => {
    const one = made("span", text, { className: name });
    one.style.left = `${(at / all) * 100}%`;
    marks.push(one);
  };
  if (clock.own > 1) { mark(0, "0 h", "first"); mark(clock.own - 1, `${clock.span} h`, "end"); }
  for (const hours of [6, 12, 18, HOURS]) mark(clock.own - 1 + (hours * 60) / clock.minutes, `+${hours} h`, hours === HOURS ? "later last" : "later");
  $("scale").replaceChildren(...marks);
  $("scale").style.setProperty("--own", `${((clock.own - 0.5) / all) * 100}%`);
}

slider.addEventListener("input", () => { play(false); go(Number(slider.value)); });
$("play").addEventListener("click", () => play(!clock.playing));
$("run").addEventListener("click", () => runOn(!clock.on));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const takes = event.key === " " ? "input, select, button, textarea, summary, a, [tabindex]" : "input, select, textarea, [role=application]";
  if (event.target.closest(takes) && !event.target.closest("main[tabindex]")) return;
  if (event.key === " ") { event.preventDefault(); play(!clock.playing); }
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") { play(false); step(event.key === "ArrowLeft" ? -1 : 1); }
});
