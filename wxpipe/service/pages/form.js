// The question as a form: its fields are named as the service's words are.

import { made } from "./made.js";
import { view } from "./view.js";

const FIELDS = ["source", "at", "bands", "season", "hours", "years", "where", "events_within", "exclude_hours", "episodes", "k"];
const HIDDEN = { where: "", exclude_hours: "24", episodes: "on", k: "10" };

export function fillSources(form, sources) {
  form.elements.source.replaceChildren(...sources.map((one) => made("option", `${one.title}, ${one.area}`, { value: one.source })));
}

/** The view's question in the fields; filters that stand behind the fold open it. */
export function fillForm(form, sources) {
  if (!sources.some((one) => one.source === view.source)) view.source = sources[0]?.source ?? "";
  for (const name of FIELDS) form.elements[name].value = view[name];
  for (const name of ["bands", "season", "episodes"]) {
    const select = form.elements[name];
    if (select.selectedIndex < 0) select.append(made("option", view[name], { value: view[name], selected: true }));
  }
  if (Object.entries(HIDDEN).some(([name, usual]) => view[name] !== usual)) form.querySelector("details").open = true;
}

export function readForm(form) {
  return Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value.trim()]));
}
