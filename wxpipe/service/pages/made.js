// Elements, and what is asked of the service. Text is always text: nothing that came over the network becomes markup.

export const $ = (id) => document.getElementById(id);

export function made(tag, text = "", properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  if (text !== "") element.textContent = text;
  return element;
}

/** An SVG element with attributes, and what is in it: a string or elements. */
export function drawn(tag, attributes = {}, ...inside) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...inside);
  return element;
}

/** Several buttons of which one is pressed. */
export function choices(names, chosen, label, choose) {
  return names.map((name) => {
    const button = made("button", label(name), { type: "button", ariaPressed: String(name === chosen) });
    button.addEventListener("click", () => choose(name));
    return button;
  });
}

export class Failed extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export function address(path, words = {}) {
  const asked = new URLSearchParams(Object.entries(words).filter(([, value]) => value !== "" && value !== undefined));
  return asked.size ? `${path}?${asked}` : path;
}

/** What the service answers; a Failed with its words where it does not. */
export async function asked(url, signal, kind = "json") {
  const answer = await fetch(url, { signal });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Failed(problem.detail ?? answer.statusText, answer.status);
  }
  return kind === "json" ? answer.json() : { blob: await answer.blob(), headers: answer.headers };
}
