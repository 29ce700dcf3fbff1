// The answer as cards: the query, its analogs, and what they were found by.

import { Film } from "./films.js";
import { $, made } from "./made.js";
import { say, score, utc, kst } from "./words.js";

export const began = (place) => place.start ?? place.time;

/** Puts the answer on the page. @param choose is called with the time of a picture that is asked about. @returns films */
export function showAnswer(answer, source, channel, choose) {
  const showing = { source, unit: answer.unit, channel };
  const query = new Film(answer.query, showing, say("query"));
  query.own = made("p", "", { className: "own soft" });
  const films = [query, ...answer.analogs.map((analog) => new Film(analog, showing, `${say("analog")} ${analog.rank}`))];
  $("query").replaceChildren(picture(query, null), ...about(query), query.own);
  $("analogs").replaceChildren(...films.slice(1).map((film) => card(film, choose)));
  $("by").textContent = compared(answer);
  $("facts").textContent = facts(answer, source);
  $("local").textContent = `= ${kst(began(answer.query))}`;
  return films;
}

/** Says under the query whether what it shows is what really came. */
export function tellOwn(query, hours) {
  if (!query) return;
  const there = query.shows();
  const words = hours && there !== undefined ? say(there ? "ownFuture" : "ownUnknown") : "";
  if (query.own.textContent !== words) query.own.textContent = words;
}

function card(film, choose) {
  const analog = film.place, article = made("article", "", { id: `analog-${analog.rank}`, tabIndex: -1 });
  const words = made("div");
  words.append(...about(film), bar(analog.similarity), film.now);
  if (analog.episode.length > 1) words.append(made("p", say("stands", { n: analog.episode.length - 1 }), { className: "soft" }));
  article.title = `${say("distance")} ${analog.distance.toPrecision(4)}`;
  article.append(picture(film, choose), words);
  return article;
}

function picture(film, choose) {
  const named = `${film.heading}, ${utc(began(film.place))}`;
  const frame = made(choose ? "button" : "div", "", { className: "picture" });
  Object.assign(film.canvas, choose ? { ariaHidden: "true" } : { role: "img", ariaLabel: named });
  if (choose) {
    Object.assign(frame, { type: "button", ariaLabel: `${named}: ${say("asks")}` });
    frame.addEventListener("click", () => choose(began(film.place)));
  }
  frame.append(film.canvas, film.gone);
  return frame;
}

/** When it began: the day, and both times of day; those of another day are told with it. */
function about(film) {
  const time = began(film.place), heading = made("h3"), local = kst(time);
  heading.append(made("span", film.place.rank ? String(film.place.rank) : film.heading, { className: "rank" }), made("span", time.slice(0, 10)));
  const clocks = made("p", "", { className: "clocks", title: local });
  const later = local.slice(0, 10) === time.slice(0, 10) ? "" : " (+1)";
  clocks.append(made("span", utc(time).slice(11)), made("span", `= ${local.slice(11)}${later}`));
  return film.place.rank ? [heading, clocks] : [heading, clocks, film.now];
}

function bar(similarity) {
  const row = made("p", "", { className: "bar" });
  if (similarity === null) return Object.assign(row, { textContent: `${say("similarity")}: ${say("unknown")}` });
  const whole = made("span", "", { className: "whole", ariaHidden: "true" }), full = made("span");
  full.style.width = `${similarity * 100}%`;
  whole.append(full);
  row.append(whole, made("strong", score(similarity)), made("span", say("similarity"), { className: "unseen" }));
  return row;
}

function compared(answer) {
  if (!answer.channels) return "";
  const bands = answer.bands === "all" ? say("all") : answer.bands;
  const why = answer.bands_why ? ` (${answer.bands_why})` : "";
  return say("by", { bands: `${bands}: ${answer.channels.join(", ")}${why}` });
}

function facts(answer, source) {
  return [
    `${say("release")} ${answer.release}`, `${say("model")} ${answer.model} (${say(answer.trained ? "trained" : "untrained")})`,
    `${say("index")} ${answer.index}`, source.imagery ? `${say("credit")}: ${source.imagery}` : "", say("grey"),
  ].filter(Boolean).join(" · ");
}
