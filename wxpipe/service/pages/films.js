// The films of the query and its analogs: the frames of a clip, and, once somebody wants to see them, those that came after.

import { address, asked, made } from "./made.js";
import { both, say, utc } from "./words.js";

export const HOURS = 24;
const EVERY = 60, WIDTHS = [200, 280, 375, 560];

/** Minutes between the frames of what came next. */
export const every = (source) => Math.ceil(EVERY / source.cadence_minutes) * source.cadence_minutes;
export const framesAfter = (source) => Math.floor((HOURS * 60) / every(source));
export const framesOf = (source, unit) => (unit === "clip" ? source.clip.frames : 1);

export class Film {
  /** @param place a query or an analog of an answer; @param showing {source, unit, channel} */
  constructor(place, showing, heading) {
    Object.assign(this, showing, { place, heading, past: null, after: null, at: -1 });
    this.id = place[`${this.unit}_id`];
    this.end = place.end ?? place.time;
    this.canvas = made("canvas", "", { width: 375, height: Math.round(375 * this.source.rows / this.source.columns) });
    this.gone = made("span", "", { className: "gone", hidden: true });
    this.now = made("p", "", { className: "now" });
    this.stopping = new AbortController();
  }

  /** Loads the clip; its size is the canvas's on this screen. */
  async load() {
    const width = this.width();
    const path = this.unit === "clip"
      ? address(`/v1/clips/${this.id}/${this.channel}.webp`, { layout: "strip", width })
      : address(`/v1/frames/${this.id}/${this.channel}.webp`, { width });
    this.past = await this.strip(path, framesOf(this.source, this.unit));
    this.redraw();
  }

  /** Loads what came next, once. */
  async runOn() {
    if (this.after || this.waiting) return;
    this.waiting = true;
    const time = this.end.replace(/[-:]/g, "").replace(/00Z$/, "Z");
    const path = address(`/v1/continuations/${this.source.source}/${time}/${this.channel}.webp`,
      { layout: "strip", width: this.width(), hours: HOURS, every: EVERY });
    this.after = await this.strip(path, framesAfter(this.source));
    this.redraw();
  }

  async strip(path, frames) {
    try {
      const { blob, headers } = await asked(path, this.stopping.signal, "file");
      const picture = await createImageBitmap(blob);
      const missing = new Set((headers.get("wxpipe-missing") ?? "").split(" ").filter(Boolean).map(Number));
      return { picture, frames, missing };
    } catch (error) {
      // Not stored is what a film says by itself; that the service could not give it is another matter.
      return { picture: null, frames, missing: new Set(), failed: error.status === 404 ? "" : error.message };
    }
  }

  width() {
    const wanted = (this.canvas.clientWidth || 240) * Math.min(devicePixelRatio, 2);
    return WIDTHS.find((width) => width >= wanted * 0.9) ?? WIDTHS.at(-1);
  }

  stop() {
    this.stopping.abort();
    for (const strip of [this.past, this.after]) strip?.picture?.close();
  }

  redraw() {
    if (this.at >= 0) this.draw(this.at);
  }

  /** Shows a moment: a frame of the clip, or, beyond its last one, one of what came next. */
  draw(at) {
    this.at = at;
    const own = framesOf(this.source, this.unit);
    const [strip, place] = at < own ? [this.past, at] : [this.after, at - own];
    const there = strip?.picture && !strip.missing.has(place);
    this.gone.hidden = Boolean(there);
    if (!there) this.gone.textContent = strip ? strip.failed || this.absent(at - own) : say("loading");
    const later = at < own ? "" : (this.place.rank ? utc : both)(this.time(at - own));
    if (this.now.textContent !== later) this.now.textContent = later;
    const pen = this.canvas.getContext("2d");
    if (!there) return void pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const { width, height } = strip.picture, rows = height / strip.frames;
    if (this.canvas.width !== width || this.canvas.height !== rows) Object.assign(this.canvas, { width, height: rows });
    pen.drawImage(strip.picture, 0, place * rows, width, rows, 0, 0, width, rows);
  }

  /** Whether it shows a frame; undefined as long as nobody knows. */
  shows() {
    const strip = this.at < framesOf(this.source, this.unit) ? this.past : this.after;
    return strip ? this.gone.hidden : undefined;
  }

  /** When a frame of what came next was. */
  time(place) {
    return new Date(Date.parse(this.end) + (place + 1) * every(this.source) * 60_000).toISOString();
  }

  absent(place) {
    if (place < 0) return say("gone", { time: both(this.place.start ?? this.place.time) });
    const time = this.time(place);
    return say(Date.parse(time) > Date.now() ? "notYet" : "gone", { time: both(time) });
  }
}
