// What the page says, in English and in Korean; elements with `data-say` are told in the language that is chosen.

const WORDS = {
  en: {
    title: "Which past weather looked like this?", skip: "To the analogs", light: "Light", dark: "Dark",
    source: "Satellite", at: "Time (UTC), or latest", toLatest: "Latest", shown: "Picture", compared: "Compared by",
    season: "Season", any: "any", own: "± 45 days", hours: "Hours (UTC)", years: "Years", advanced: "More filters",
    where: "Filter (SQL)", events: "Events within (h)", exclude: "Leave out own (h)", episodes: "Overlapping clips",
    together: "one answer", apart: "each its own", k: "Analogs", search: "Search", question: "The question",
    auto: "by daylight", all: "all bands", film: "Film", query: "Query", analog: "Analog", analogs: "Analogs",
    similarity: "similarity", distance: "distance", stands: "+{n} overlapping", unknown: "not known",
    play: "Play", pause: "Pause", runOn: "Run on into what came next", searching: "Searching …",
    none: "No analog satisfies the filter.", found: "{n} analogs, the best {similarity} similar.",
    foundUnknown: "{n} analogs.", refreshed: "A newer time has come: {time}.",
    release: "release", model: "model", untrained: "NOT TRAINED", trained: "trained", index: "index",
    credit: "Imagery", age: "Newest data", ago: "{age} old", frame: "Moment of the film",
    past: "{n} h into the clip", next: "+{n} h, what came next", clip: "the clip", came: "what came next",
    gone: "No picture {time}", notYet: "Not in the archive: {time}", loading: "loading …", asks: "ask for what was like it",
    ownFuture: "its own future, as it came", ownUnknown: "its own future is not in the archive",
    quality: "How good is this?", noGood: "No good analog", good: "A usual analog or better",
    worse: "{share} of {n} times {are} have a better best analog.", unjudged: "Quality is not known: {why}.",
    after: "How like what really came the weather after such analogs was:", lead: "After", mean: "similarity",
    range: "80 %", chance: "by chance", ahead: "What came next", aheadWait: "Asking what came after the analogs …",
    aheadNone: "What came next cannot be told: {why}.", difference: "difference", share: "after analogs", usual: "usual",
    legendDifference: "cold cloud rarer than usual ← → more frequent", legendShare: "share with cold cloud",
    aheadIs: "Share of {n} analogs with cold cloud {hours} h after their end, against {m} {are}.",
    uncalibrated: "Cold cloud: {share} of a cell are of grey {grey} or whiter; not calibrated to temperature.",
    colder: "Cold cloud: {share} of a cell are {kelvin} K or colder.", came_: "outlined: where it came after the query itself",
    beneath: "beneath: the query itself, {time}", layer: "Shown on the map", steps: "Hours ahead",
    cell: "Cell {x} from the west, {y} from the north: cold cloud after {share} of the analogs, usually {usual} ({difference}).",
    cellUnknown: "Cell {x} from the west, {y} from the north: not known.", noAnalog: "no analog has pictures of then",
    hint: "Point at a cell, or go to it with the arrow keys.",
    map: "Map of {hours} h ahead. Arrow keys go from cell to cell.", happened: "What happened after",
    askEvents: "Ask what happened within 12 h", noEvents: "No events are recorded, or none near the analogs.",
    event: "{type}{where} within {hours} h after {n} of {m} analogs", where_: " in {region}", usually: "usual {n} of {m}",
    interval: "95 % interval {low} to {high}", of: "analogs {ranks}", outside: "{n} outside the record",
    calendar: "Where in the archive they lie", asList: "As a list", calendarIs: "Years and days of the analogs",
    pictures: "has pictures", inSeason: "season of the filter", copy: "Copy link", copied: "The link is copied.",
    copyThis: "Copy this link:", drawing: "The briefing is being drawn …", briefing: "Briefing", moved: "The link is of release {old}; release {new} serves now: the answer may differ.",
    by: "compared by {bands}", keys: "Space plays and stops, ← and → step, Enter on a picture asks for what was like it.",
    grey: "Grey values, not temperatures. Similarity: ground truth of grid histograms, 0 to 1.",
    failed: "The service cannot be reached; the last answer stays.",
  },
  ko: {
    title: "과거의 어떤 날씨가 이와 비슷했을까?", skip: "유사 사례로 이동", light: "밝게", dark: "어둡게",
    source: "위성", at: "시각(UTC) 또는 latest", toLatest: "최신", shown: "영상", compared: "비교 밴드",
    season: "계절", any: "전체", own: "± 45일", hours: "시간대(UTC)", years: "연도", advanced: "추가 조건",
    where: "조건(SQL)", events: "이후 현상(시간)", exclude: "질의 전후 제외(시간)", episodes: "겹친 클립",
    together: "하나로", apart: "각각", k: "사례 수", search: "검색", question: "질의",
    auto: "주야 자동", all: "모든 밴드", film: "동영상", query: "질의", analog: "유사 사례", analogs: "유사 사례",
    similarity: "유사도", distance: "거리", stands: "겹친 클립 +{n}", unknown: "알 수 없음",
    play: "재생", pause: "정지", runOn: "이후까지 이어서 보기", searching: "검색 중 …",
    none: "조건에 맞는 유사 사례가 없습니다.", found: "유사 사례 {n}건, 최고 유사도 {similarity}.",
    foundUnknown: "유사 사례 {n}건.", refreshed: "새 자료가 들어왔습니다: {time}.",
    release: "릴리스", model: "모델", untrained: "학습되지 않음", trained: "학습됨", index: "색인",
    credit: "영상", age: "최신 자료", ago: "{age} 경과", frame: "동영상 시점",
    past: "클립 시작 {n}시간 후", next: "종료 +{n}시간, 이후", clip: "클립", came: "이후",
    gone: "영상 없음 {time}", notYet: "자료 없음: {time}", loading: "불러오는 중 …", asks: "이 사례로 다시 검색",
    ownFuture: "질의의 실제 이후", ownUnknown: "질의의 이후 자료가 아직 없습니다",
    quality: "얼마나 믿을 만한가?", noGood: "좋은 유사 사례 없음", good: "보통 이상의 유사 사례",
    worse: "비교 시각 {n}건({are}) 중 {share}가 더 나은 사례를 가집니다.", unjudged: "품질을 알 수 없습니다: {why}.",
    after: "이러한 사례 이후의 날씨와 실제의 유사도:", lead: "이후", mean: "유사도",
    range: "80% 범위", chance: "우연", ahead: "이후 어떻게 되었나", aheadWait: "사례 이후를 계산하는 중 …",
    aheadNone: "이후를 알 수 없습니다: {why}.", difference: "차이", share: "사례 이후", usual: "평소",
    legendDifference: "평소보다 찬 구름 적음 ← → 많음", legendShare: "찬 구름 비율",
    aheadIs: "사례 {n}건의 종료 {hours}시간 후 찬 구름 비율과 평소({m}건, {are}).",
    uncalibrated: "찬 구름: 칸의 {share}가 화소값 {grey} 이상; 온도로 보정되지 않음.",
    colder: "찬 구름: 칸의 {share}가 {kelvin} K 이하.", came_: "테두리: 질의 이후 실제로 나타난 곳",
    beneath: "배경: 질의 영상, {time}", layer: "지도 표시", steps: "예측 시간",
    cell: "서쪽 {x}번째, 북쪽 {y}번째 칸: 사례의 {share}에서 찬 구름, 평소 {usual} ({difference}).",
    cellUnknown: "서쪽 {x}번째, 북쪽 {y}번째 칸: 알 수 없음.", noAnalog: "그 시각의 영상이 있는 사례가 없음",
    hint: "칸을 가리키거나 화살표 키로 이동하세요.",
    map: "{hours}시간 후 지도. 화살표 키로 칸을 옮깁니다.", happened: "이후에 있었던 일",
    askEvents: "12시간 이내의 현상 조회", noEvents: "기록된 현상이 없거나 사례 근처에 없습니다.",
    event: "{type}{where}: {hours}시간 이내, 사례 {m}건 중 {n}건", where_: " ({region})", usually: "평소 {m}건 중 {n}건",
    interval: "95% 구간 {low}~{high}", of: "사례 {ranks}", outside: "기록 밖 {n}건",
    calendar: "기록 보관소에서의 위치", asList: "목록으로", calendarIs: "유사 사례의 연도와 날짜",
    pictures: "영상 있음", inSeason: "조건의 계절", copy: "링크 복사", copied: "링크를 복사했습니다.",
    copyThis: "이 링크를 복사하세요:", drawing: "브리핑을 그리는 중 …", briefing: "브리핑", moved: "링크는 릴리스 {old}의 것이며 지금은 릴리스 {new}입니다. 결과가 다를 수 있습니다.",
    by: "비교 밴드 {bands}", keys: "스페이스 재생/정지, ← → 한 장씩, 그림에서 Enter로 그 사례를 다시 검색.",
    grey: "화소값이며 온도가 아닙니다. 유사도: 격자 히스토그램 기준값, 0~1.",
    failed: "서비스에 연결할 수 없습니다. 마지막 결과를 유지합니다.",
  },
};
let language = navigator.language.startsWith("ko") ? "ko" : "en";

export const spoken = () => language;
export const other = () => (language === "en" ? "ko" : "en");

export function speak(wanted) {
  if (wanted in WORDS) language = wanted;
  document.documentElement.lang = language;
  document.title = `${say("title")} · wxpipe`;
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of document.querySelectorAll("[data-name]")) element.ariaLabel = say(element.dataset.name);
}

/** A sentence, its {names} replaced. */
export function say(word, values = {}) {
  return WORDS[language][word].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

const moment = (time, zone) => new Intl.DateTimeFormat("sv-SE",
  { timeZone: zone, dateStyle: "short", timeStyle: "short" }).format(new Date(time));
export const utc = (time) => `${moment(time, "UTC")} UTC`;
export const kst = (time) => `${moment(time, "Asia/Seoul")} KST`;
/** Of two times of one day the second is told without it. */
export const both = (time) => {
  const local = kst(time);
  return `${utc(time)} = ${local.slice(0, 10) === time.slice(0, 10) ? local.slice(11) : local}`;
};
export const percent = (share) => `${Math.round(share * 100)} %`;
export const score = (value) => value.toFixed(2).replace(/^(-?)0\./, "$1.");

export function since(time) {
  const hours = Math.max(0, (Date.now() - Date.parse(time)) / 3.6e6);
  if (hours < 1) return `${Math.round(hours * 60)} min`;
  return hours < 48 ? `${hours.toFixed(1)} h` : `${Math.round(hours / 24).toLocaleString(language)} d`;
}
