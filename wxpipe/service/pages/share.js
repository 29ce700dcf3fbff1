// The view for others: a link that brings it back, and a briefing on one sheet.

import { $, address, made } from "./made.js";
import { say } from "./words.js";
import { link, question, view } from "./view.js";

let answer = null, source = null;

export function share(answered, of) {
  [answer, source] = [answered, of];
  for (const form of ["pdf", "png"]) {
    const words = { ...question(source), at: answer.query.start ?? answer.query.time, channel: view.channel };
    $(`briefing-${form}`).href = address(`/v1/briefing.${form}`, words);
  }
}

$("copy").addEventListener("click", async () => {
  if (!answer) return;
  const url = link(answer), told = $("copied");
  try {
    await navigator.clipboard.writeText(url);
    told.textContent = say("copied");
    setTimeout(() => { if (told.textContent === say("copied")) told.textContent = ""; }, 4000);
  } catch {  // a browser that keeps the clipboard to itself, as over plain HTTP: the link to be copied by hand
    const label = made("label", say("copyThis")), box = made("input", "", { readOnly: true, value: url });
    label.append(box);
    told.replaceChildren(label);
    box.select();
  }
});
