// The view for others: a link that brings it back, and a briefing on one sheet.

import { $, address, asked, made } from "./made.js";
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

/** The sheet takes a while to be drawn: that is said, and so is what keeps it from being drawn. */
async function save(event) {
  event.preventDefault();
  const told = $("copied");
  told.textContent = say("drawing");
  try {
    const { blob, headers } = await asked(event.currentTarget.href, undefined, "file");
    const [, name] = /filename=([\w.-]+)/.exec(headers.get("content-disposition") ?? "") ?? [];
    const file = made("a", "", { href: URL.createObjectURL(blob), download: name ?? "wxpipe" });
    file.click();
    setTimeout(() => URL.revokeObjectURL(file.href), 60_000);
    told.textContent = "";
  } catch (error) {
    told.textContent = error.status ? error.message : say("failed");
  }
}

for (const form of ["pdf", "png"]) $(`briefing-${form}`).addEventListener("click", save);
