// What is looked at: the question, and the moment and picture of its answer. All of it is in the page's address, so that
// a link brings it back, and the browser's own buttons go through it.

import { other, speak, spoken } from "./words.js";

/** Words of the question as the service takes them, and what is meant where the address does not say. */
const QUESTION = {
  source: "", at: "latest", bands: "auto", season: "", hours: "", years: "", where: "", events_within: "",
  exclude_hours: "24", episodes: "on", k: "10",
};
/** Films on one screen: each is some pictures to load. */
const MOST = 30;
const LOOK = { channel: "", frame: "0", run: "", lead: "", layer: "difference" };
const ALL = { ...QUESTION, ...LOOK };

export const view = { ...ALL };
/** The release that a link was made on; "" where nobody says. */
export let pinned = "";

export function read() {
  const words = new URLSearchParams(location.search);
  for (const name of Object.keys(ALL)) view[name] = words.get(name) ?? ALL[name];
  if (!(Number(view.k) >= 1 && Number(view.k) <= MOST)) view.k = ALL.k;
  pinned = /^\d{1,9}$/.test(words.get("release") ?? "") ? words.get("release") : "";
  speak(words.get("language") ?? spoken());
}

/** The address of the view; with an answer that of exactly this one, whatever comes later. */
export function link(answer = null) {
  const words = new URLSearchParams({ language: spoken() });
  for (const name of Object.keys(ALL)) if (view[name] !== ALL[name]) words.set(name, view[name]);
  if (answer) {
    words.set("source", answer.source);
    words.set("at", answer.query.start ?? answer.query.time);
    words.set("release", answer.release);
  } else if (pinned) words.set("release", pinned);
  const url = new URL(location.pathname, location.origin);
  url.search = words;
  return url.href;
}

export function write(how = "replaceState") {
  const url = link();
  if (how === "replaceState" || url !== location.href) history[how](null, "", url);
}

/** A new question: what a link said about its own answer is over. */
export function ask(changes) {
  Object.assign(view, changes);
  pinned = "";
  write("pushState");
}

/** The question for the service: what is as usual is left unsaid. */
export function question(source) {
  const words = { source: source.source };
  for (const [name, usual] of Object.entries(QUESTION)) if (view[name] !== usual && view[name] !== "") words[name] = view[name];
  return { ...words, at: view.at || "latest", ...(source.clip ? {} : { unit: "frame" }) };
}

export function turn() {
  speak(other());
  write();
}
