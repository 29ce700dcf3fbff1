// One screen: a query, its analogs beside it, all of them running in step. What is asked is in the address of the page.

const WORDS = {
  en: {
    title: "Which past weather looked like this?", skip: "To the analogs", theme: "Light or dark", source: "Satellite",
    at: "Time (UTC), or latest", channel: "Channel", season: "Season", any: "any", own: "± 45 days", hours: "Hours (UTC)",
    years: "Years", where: "Filter (SQL)", events: "Events within (h)", search: "Search", question: "The question",
    film: "The film", query: "Query", analog: "Analog", similarity: "similarity", distance: "distance", stands: "overlapping",
    unknown: "not known", play: "Play", pause: "Pause", searching: "Searching …", none: "No analog satisfies the filter.",
    release: "release", model: "model", untrained: "NOT TRAINED", trained: "trained", index: "index", credit: "Imagery",
    latest: "newest", ago: "ago", happened: "What happened after", frame: "Frame",
    keys: "Keys: space plays and stops, ← and → step, Enter on a picture asks for what was like it.",
    grey: "Grey values, not temperatures. Similarity: ground truth of grid histograms, 0 to 1.",
  },
  ko: {
    title: "과거의 어떤 날씨가 이와 비슷했을까?", skip: "유사 사례로 이동", theme: "밝게 / 어둡게", source: "위성",
    at: "시각(UTC) 또는 latest", channel: "채널", season: "계절", any: "전체", own: "± 45일", hours: "시간대(UTC)",
    years: "연도", where: "조건(SQL)", events: "이후 현상(시간)", search: "검색", question: "질의",
    film: "동영상", query: "질의", analog: "유사 사례", similarity: "유사도", distance: "거리", stands: "겹친 사례",
    unknown: "알 수 없음", play: "재생", pause: "정지", searching: "검색 중 …", none: "조건에 맞는 유사 사례가 없습니다.",
    release: "릴리스", model: "모델", untrained: "학습되지 않음", trained: "학습됨", index: "색인", credit: "영상",
    latest: "최신", ago: "전", happened: "이후에 있었던 일", frame: "프레임",
    keys: "단축키: 스페이스 재생/정지, ← → 한 장씩, 그림에서 Enter 그 사례로 다시 검색.",
    grey: "화소값이며 온도가 아닙니다. 유사도: 격자 히스토그램 기준값, 0~1.",
  },
};
const MILLISECONDS = 160, WIDTH = 375, REFRESH = 60_000;
const FIELDS = ["source", "at", "channel", "season", "hours", "years", "where", "events_within"];
const $ = (id) => document.getElementById(id);
const form = $("question");
const still = matchMedia("(prefers-reduced-motion: reduce)");
const state = { language: "en", sources: [], films: [], frame: 0, frames: 20, playing: !still.matches, answer: null, asked: 0 };
const say = (word) => WORDS[state.language][word];

const kst = (time) => new Intl.DateTimeFormat(state.language === "ko" ? "ko-KR" : "en-GB",
  { timeZone: "Asia/Seoul", dateStyle: "medium", timeStyle: "short", hourCycle: "h23" }).format(new Date(time)) + " KST";
const utc = (time) => `${time.slice(0, 10)} ${time.slice(11, 16)} UTC`;

async function fetched(path, words = {}) {
  const asked = new URLSearchParams(Object.entries(words).filter(([, value]) => value !== ""));
  const answer = await fetch(asked.size ? `${path}?${asked}` : path, { headers: { Accept: "application/json" } });
  const document_ = await answer.json();
  if (!answer.ok) throw new Error(document_.detail ?? answer.statusText);
  return document_;
}

function made(tag, text = "", properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  if (text) element.textContent = text;
  return element;
}

function translate() {
  document.documentElement.lang = state.language;
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  const other = state.language === "en" ? "ko" : "en";
  Object.assign($("language"), { lang: other, textContent: other === "ko" ? "한국어" : "English" });
  $("frame").ariaLabel = say("frame");
  showPlaying();
  if (state.answer) show(state.answer);
}

function fillSources() {
  const select = form.elements.source;
  select.replaceChildren(...state.sources.map((one) => made("option", `${one.title}, ${one.area}`, { value: one.source })));
}

function fillChannels() {
  const source = state.sources.find((one) => one.source === form.elements.source.value);
  const kept = form.elements.channel.value;
  const names = Object.entries(source?.channels ?? {});
  form.elements.channel.replaceChildren(...names.map(([name, band]) => made("option", `${name} (${band})`, { value: name })));
  const wanted = names.find(([name]) => name === kept) ?? names.find(([, band]) => band === "ir") ?? names[0];
  if (wanted) form.elements.channel.value = wanted[0];
}

function fromAddress() {
  const words = new URLSearchParams(location.search);
  state.language = words.get("language") ?? (navigator.language.startsWith("ko") ? "ko" : "en");
  if (!(state.language in WORDS)) state.language = "en";
  for (const name of FIELDS) {
    const value = words.get(name);
    if (value === null) continue;
    if (name === "source") { form.elements.source.value = value; fillChannels(); } else form.elements[name].value = value;
  }
  if (!form.elements.source.value && state.sources.length) form.elements.source.value = state.sources[0].source;
  if (!form.elements.channel.value) fillChannels();
}

function toAddress() {
  const words = new URLSearchParams({ language: state.language });
  for (const name of FIELDS) if (form.elements[name].value) words.set(name, form.elements[name].value);
  history.replaceState(null, "", `?${words}`);
}

async function search(quiet = false) {
  const mine = ++state.asked;
  toAddress();
  if (!quiet) $("note").textContent = say("searching");
  $("answer").ariaBusy = "true";
  const words = Object.fromEntries(FIELDS.filter((name) => name !== "channel").map((name) => [name, form.elements[name].value.trim()]));
  const source = state.sources.find((one) => one.source === words.source);
  if (source && !source.clip) words.unit = "frame";
  try {
    const answer = await fetched("/v1/search", words);
    if (mine !== state.asked) return;
    if (quiet && JSON.stringify(answer) === JSON.stringify(state.answer)) return showAge(answer);
    state.answer = answer;
    $("note").textContent = answer.analogs.length ? answer.warning : say("none");
    show(answer);
  } catch (error) {
    if (mine === state.asked) $("note").textContent = error.message;
  } finally {
    if (mine === state.asked) $("answer").ariaBusy = "false";
  }
}

function show(answer) {
  const key = `${answer.unit}_id`;
  state.films = [];
  const cards = [card(answer.query[key], answer.query, say("query"), null)];
  for (const analog of answer.analogs) cards.push(card(analog[key], analog, `${say("analog")} ${analog.rank}`, analog));
  cards[0].classList.add("query");
  $("answer").replaceChildren(...cards);
  const source = state.sources.find((one) => one.source === answer.source);
  state.frames = answer.unit === "clip" ? source?.clip?.frames ?? 20 : 1;
  $("frame").max = state.frames - 1;
  $("facts").textContent = [
    `${say("release")} ${answer.release}`, `${say("model")} ${answer.model} (${say(answer.trained ? "trained" : "untrained")})`,
    `${say("index")} ${answer.index}`, source?.imagery ? `${say("credit")}: ${source.imagery}` : "", say("grey"),
  ].filter(Boolean).join(" · ");
  const start = answer.query.start;
  $("local").textContent = `${utc(start)} = ${kst(start)}`;
  showAge(answer);
  showHappened(answer.happened ?? []);
  draw();
}

function showAge(answer) {
  const { start, end } = answer.query;
  const hours = (Date.now() - Date.parse(end ?? start)) / 3.6e6;
  const age = hours < 48 ? `${hours.toFixed(1)} h` : `${Math.round(hours / 24)} d`;
  const newest = form.elements.at.value.trim() === "latest";
  $("age").textContent = newest ? `${say("latest")}: ${utc(start)} (${age} ${say("ago")})` : "";
}

function card(identity, place, heading, analog) {
  const article = made("article"), button = made("button", "", { type: "button", ariaLabel: `${heading}, ${utc(place.start)}` });
  const canvas = made("canvas", "", { width: WIDTH, height: Math.round(WIDTH * 0.8), role: "img", ariaLabel: `${heading}, ${utc(place.start)}` });
  button.append(canvas);
  button.addEventListener("click", () => { form.elements.at.value = place.start.replace(":00Z", "Z"); search(); });
  const words = made("div"), list = made("dl");
  words.append(made("h3", heading), made("p", utc(place.start)), made("p", kst(place.start), { className: "soft" }));
  if (analog) {
    if (analog.similarity !== null) words.append(made("meter", "", { min: 0, max: 1, value: analog.similarity, ariaLabel: say("similarity") }));
    for (const [name, value] of [
      ["similarity", analog.similarity === null ? say("unknown") : analog.similarity.toFixed(3)],
      ["distance", analog.distance.toPrecision(4)], ["stands", String(analog.episode.length)],
    ]) list.append(made("dt", say(name)), made("dd", value));
    words.append(list);
  }
  article.append(button, words);
  const picture = new Image();
  const channel = form.elements.channel.value;
  picture.addEventListener("load", draw);
  picture.src = identity.split("/").length > 2
    ? `/v1/clips/${identity}/${channel}.webp?layout=strip&width=${WIDTH}` : `/v1/frames/${identity}/${channel}.webp?width=${WIDTH}`;
  state.films.push({ canvas, picture });
  return article;
}

function showHappened(odds) {
  const section = $("happened");
  section.replaceChildren();
  if (!odds.length) return;
  const list = made("ul");
  list.append(...odds.map((one) => made("li", one.sentence)));
  section.append(made("h2", say("happened")), list);
}

function draw() {
  for (const { canvas, picture } of state.films) {
    if (!picture.complete || !picture.naturalWidth) continue;
    const rows = Math.round(picture.naturalHeight / state.frames);
    if (canvas.height !== rows || canvas.width !== picture.naturalWidth) Object.assign(canvas, { width: picture.naturalWidth, height: rows });
    canvas.getContext("2d").drawImage(picture, 0, state.frame * rows, canvas.width, rows, 0, 0, canvas.width, rows);
  }
  $("frame").value = state.frame;
  const query = state.answer?.query;
  if (query?.end) {
    const part = state.frame / Math.max(1, state.frames - 1) * (Date.parse(query.end) - Date.parse(query.start));
    $("when").textContent = `+${(part / 3.6e6).toFixed(1)} h`;
  }
}

function showPlaying() {
  Object.assign($("play"), { textContent: say(state.playing ? "pause" : "play"), ariaPressed: String(state.playing) });
}

function step(by) {
  state.frame = (state.frame + by + state.frames) % state.frames;
  draw();
}

function play(on) {
  state.playing = on;
  showPlaying();
}

form.addEventListener("submit", (event) => { event.preventDefault(); search(); });
form.elements.source.addEventListener("change", () => { fillChannels(); search(); });
form.elements.channel.addEventListener("change", () => { toAddress(); if (state.answer) show(state.answer); });
$("play").addEventListener("click", () => play(!state.playing));
$("frame").addEventListener("input", (event) => { play(false); state.frame = Number(event.target.value); draw(); });
$("language").addEventListener("click", () => { state.language = state.language === "en" ? "ko" : "en"; toAddress(); translate(); });
$("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = dark === "dark" ? "light" : "dark";
});
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, button, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " ") { event.preventDefault(); play(!state.playing); }
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") { play(false); step(event.key === "ArrowLeft" ? -1 : 1); }
});
setInterval(() => { if (state.playing && state.frames > 1 && state.films.length) step(1); }, MILLISECONDS);
setInterval(async () => {
  if (document.hidden || form.elements.at.value.trim() !== "latest" || !state.answer) return;
  search(true);
}, REFRESH);

try {
  state.sources = (await fetched("/v1/sources")).sources;
  fillSources();
  fromAddress();
  translate();
  await search();
} catch (error) {
  $("note").textContent = error.message;
}
