/** What a person who records can do better, in plain words. */

import { text } from "./page.js";

const FLOOR_MEASUREMENTS = 40; // 2 s: long enough to hold a gap between words.
const NOISY_ABOVE = -43; // dBFS RMS in the quietest of these moments: a fan or a street.

/** @type {Record<string, string>} the key of a text, by the verdict on the level */
const ADVICE = { silent: "coach-silent", quiet: "coach-quiet", loud: "coach-loud" };

export class Coach {
  /** @type {number[]} */
  #latest = [];

  /**
   * Return advice on how it sounds, "" if all is well.
   * @param {import("./recorder.js").Level} level the latest one
   */
  advise({ rms, verdict }) {
    this.#latest = [...this.#latest, rms].slice(-FLOOR_MEASUREMENTS);
    if (this.#latest.length < FLOOR_MEASUREMENTS) return "";
    if (ADVICE[verdict]) return text(ADVICE[verdict]);
    return Math.min(...this.#latest) > NOISY_ABOVE ? text("coach-noisy") : "";
  }
}
