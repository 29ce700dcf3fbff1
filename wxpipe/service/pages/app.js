// One screen: a query, its analogs beside it, all of them running in step, and what came next. This file puts the parts
// together: a question is asked, its answer is shown, and newer data are asked for as long as the newest are looked at.

import * as ahead from "./ahead.js";
import { began, showAnswer, tellOwn } from "./answers.js";
import * as calendar from "./calendar.js";
import { showEvents } from "./events.js";
import { fillForm, fillSources, readForm } from "./form.js";
import { $, address, asked, choices, Failed } from "./made.js";
import * as player from "./player.js";
import { showQuality } from "./quality.js";
import { share } from "./share.js";
import * as view from "./view.js";
import { say, score, since, speak, spoken, other, utc } from "./words.js";

const REFRESH = 60_000, AGAIN = 3_000, SETTLE = 400;
const page = { sources: [], source: null, answer: null, films: [], stopping: null, asked: "", settling: 0 };
const form = $("question");
const key = () => JSON.stringify(view.question(page.source));

async function search(quiet = false) {
  page.stopping?.abort();
  const stopping = (page.stopping = new AbortController());
  page.source = page.sources.find((one) => one.source === view.view.source) ?? page.sources[0];
  const words = view.question(page.source), mine = key();
  if (!quiet) {
    $("note").classList.remove("alarm");
    $("note").textContent = say("searching");
    $("screen").ariaBusy = "true";
  }
  try {
    const answer = await asked(address("/v1/search", words), stopping.signal);
    page.asked = mine;
    if (quiet && same(answer, page.answer)) { page.answer = answer; return showAge(); }
    page.answer = answer;
    show();
    if (quiet) $("note").textContent = say("refreshed", { time: utc(began(answer.query)) });
    else note();
  } catch (error) {
    if (error.name !== "AbortError") alarm(error);
  } finally {
    if (page.stopping === stopping) $("screen").ariaBusy = "false";
  }
}

function alarm(error) {
  $("note").classList.add("alarm");
  $("note").textContent = error instanceof Failed ? error.message : say("failed");
}

const places = (answer) => JSON.stringify([answer.release, answer.query, answer.analogs, answer.quality, answer.happened]);
const same = (one, other_) => Boolean(other_) && places(one) === places(other_);

function note() {
  const { answer } = page, best = answer.analogs[0];
  const parts = [];
  if (view.pinned && Number(view.pinned) !== answer.release) parts.push(say("moved", { old: view.pinned, new: answer.release }));
  if (answer.warning) parts.push(answer.warning);
  if (!best) parts.push(say("none"));
  const found = !best ? "" : best.similarity === null ? say("foundUnknown", { n: answer.analogs.length })
    : say("found", { n: answer.analogs.length, similarity: score(best.similarity) });
  $("note").classList.toggle("alarm", parts.length > 0);
  $("note").textContent = [...parts, found].filter(Boolean).map((one) => one.replace(/\.?$/, ".")).join(" ");
}

function show() {
  const { answer, source } = page;
  showChannels();
  page.films = showAnswer(answer, source, view.view.channel, (time) => {
    ask({ at: time.replace(":00Z", "Z"), frame: "0", run: "" });
    $("the-query").focus();
  });
  player.show(page.films, source, answer.unit);
  showQuality(answer.quality);
  showEvents(answer.happened, (hours) => ask({ events_within: hours }));
  calendar.load(answer, source);
  if (answer.analogs.length) lookAhead();
  else $("ahead-body").replaceChildren();
  share(answer, source);
  showAge();
}

/** The ensemble of the answer that is shown, also where a newer one has come since. */
async function lookAhead() {
  const { answer, source } = page, words = { ...view.question(source), at: began(answer.query) };
  delete words.events_within;
  await ahead.load(words, source, answer, view.view);
  ahead.follow(player.hoursAfter());
}

/** The bands that pictures are shown in: a button each, or, of many, those that all satellites share. */
function showChannels() {
  const { channels, composites } = page.source, names = Object.keys(channels), look = view.view;
  const offered = [...(names.length > 6 ? names.filter((name, n) => Object.values(channels).indexOf(channels[name]) === n) : names), ...Object.keys(composites ?? {})];
  if (!offered.includes(look.channel)) look.channel = offered.find((name) => channels[name] === "ir") ?? offered[0];
  const held = $("shown").contains(document.activeElement);
  $("shown").replaceChildren(...choices(offered, look.channel, (name) => (channels[name] ?? name).toUpperCase(), (name) => {
    view.view.channel = name;
    view.write("pushState");
    showPictures();
  }));
  if (held) $("shown").querySelector("[aria-pressed=true]").focus();
}

/** The same answer in another channel, at the same moment. */
function showPictures() {
  const { answer, source } = page;
  showChannels();
  page.films = showAnswer(answer, source, view.view.channel, (time) => ask({ at: time.replace(":00Z", "Z"), frame: "0", run: "" }));
  player.show(page.films, source, answer.unit);
  share(answer, source);
}

function showAge() {
  const { answer } = page, newest = view.view.at === "latest";
  const time = answer.query.end ?? answer.query.time;
  $("age").textContent = newest ? `${say("age")}: ${utc(time)}, ${say("ago", { age: since(time) })}` : "";
  $("latest").hidden = newest;
}

function ask(changes) {
  view.ask(changes);
  fillForm(form, page.sources);
  player.runOn(view.view.run === "on", Number(view.view.frame));
  search();
}

function restore() {
  fillForm(form, page.sources);
  translate();
  player.runOn(view.view.run === "on", Number(view.view.frame) || 0);
}

function translate() {
  speak(spoken());
  Object.assign($("language"), { lang: other(), textContent: other() === "ko" ? "한국어" : "English" });
  theme(document.documentElement.dataset.theme);
  player.label();
}

const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };

function theme(wanted) {
  if (wanted) document.documentElement.dataset.theme = wanted;
  const dark = (wanted ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  $("theme").textContent = say(dark ? "light" : "dark");
  return dark;
}

form.addEventListener("submit", (event) => { event.preventDefault(); ask({ ...readForm(form), frame: "0", run: "" }); });
form.elements.source.addEventListener("change", () => ask({ ...readForm(form), channel: "", frame: "0", run: "" }));
for (const name of ["bands", "season"]) form.elements[name].addEventListener("change", () => ask(readForm(form)));
$("latest").addEventListener("click", () => ask({ at: "latest", frame: "0", run: "" }));
$("language").addEventListener("click", () => {
  view.turn();
  translate();
  if (page.answer) { show(); note(); }
});
$("theme").addEventListener("click", () => {
  theme(theme(document.documentElement.dataset.theme) ? "light" : "dark");
  try { localStorage.setItem("theme", document.documentElement.dataset.theme); } catch { /* kept for now alone */ }
});
document.addEventListener("click", (event) => {
  const wanted = event.target.closest("a[href^='#analog-']")?.getAttribute("href").slice(1);
  if (!wanted) return;
  event.preventDefault();
  $(wanted)?.focus();
  $(wanted)?.scrollIntoView({ block: "nearest" });
});
addEventListener("popstate", () => {
  view.read();
  restore();
  if (key() !== page.asked) search();
  else { showPictures(); lookAhead(); }
});
const refresh = () => {
  if (!document.hidden && view.view.at === "latest" && page.answer && $("screen").ariaBusy !== "true") search(true);
};
setInterval(refresh, REFRESH);
document.addEventListener("visibilitychange", refresh);

ahead.start((change, follows) => {
  Object.assign(view.view, Object.fromEntries(Object.entries(change).map(([name, value]) => [name, String(value)])));
  view.write();
  if (follows) player.goHours(change.lead);
});
player.start((at, hours) => {
  tellOwn(page.films[0], hours);
  ahead.follow(hours);
  if (view.view.frame === String(at)) return;
  Object.assign(view.view, { frame: String(at), run: player.runningOn() ? "on" : "" });
  clearTimeout(page.settling);
  page.settling = setTimeout(() => view.write(), SETTLE);  // of a film that runs, no frame settles
});

/** A service that has just been started opens its root first, and says so: then it is asked again. */
async function begin() {
  try {
    page.sources = (await asked("/v1/sources")).sources;
  } catch (error) {
    alarm(error);
    return void setTimeout(begin, AGAIN);
  }
  page.source = page.sources[0];
  fillSources(form, page.sources);
  if (new URLSearchParams(location.search).has("frame")) player.play(false);
  restore();
  await search();
}

view.read();
translate();
theme(((kept) => (["light", "dark"].includes(kept) ? kept : undefined))(stored()));
begin();
