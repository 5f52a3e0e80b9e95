/**
 * Finds the place in a text where somebody is reading, by ear: from when they speak, and from where they take a breath.
 *
 * Between two breaths people read a whole number of sentences, or stop at a comma. How long that took tells how many,
 * for each pace they may have. All places and paces are kept in mind, and each breath rules some of them out. Of those
 * that remain likely, the earliest counts: a text that waits disturbs less than one that hurries ahead.
 */

import { VoiceActivity } from "./voice-activity.js";

const BREATH_MILLISECONDS = 300; // A shorter silence is inside a word.
const START_SECONDS = 0.15; // What the detection of speech needs to notice its beginning.
const MAX_STEP = 200; // Milliseconds between two moments; more is a paused recording.
const PACES = Array.from({ length: 12 }, (_pace, index) => 5.5 * 1.11 ** index); // Letters in a second: 5.5 to 17.
const USUAL_PACE = 10.5;
const PACE_SPREAD = 0.35; // Of the logarithm, among people.
const EVENNESS = 0.18; // Of the logarithm, from sentence to sentence of one person.
const REACH = 14; // Phrases that are read in one breath, at most.
// What the less likely costs, as logarithms.
const BREATH_AT_COMMA = 1.2;
const NO_BREATH_AT_SENTENCE = 2.2;
const BREATH_WITHIN_PHRASE = 4;
const LIKELY = 3.5; // A place that is so much less likely than the likeliest may still be the right one.
const CAUTION = 0.82; // Of the pace, between two breaths.
const PATIENCE = 0.6; // The share of a sentence's time that the end of a sentence waits for its breath.

/**
 * @typedef {{end: number, isLast: boolean}} Phrase `end` in letters from the beginning; `isLast` of its sentence
 * @typedef {{cost: number, heard: number}} Guess `heard` in seconds of speech since the place
 */

/** @param {number} ratio @param {number} spread */
const costOf = (ratio, spread) => Math.log(ratio) ** 2 / (2 * spread ** 2);

export class ReadingPace {
  #activity = new VoiceActivity(BREATH_MILLISECONDS);
  /** @type {Guess[][]} by the number of phrases that are read, and by the pace */
  #guesses = [];
  #phrases;
  #spoken = 0; // Seconds of speech since the last breath.
  #updatedAt = 0;
  #costs = PACES.map((pace) => costOf(pace / USUAL_PACE, PACE_SPREAD));

  /** @param {Phrase[]} phrases */
  constructor(phrases) {
    this.#phrases = phrases;
    this.moveTo(0);
  }

  /** Begin to listen, at the place of before. */
  begin() {
    this.#activity = new VoiceActivity(BREATH_MILLISECONDS);
    this.#updatedAt = performance.now();
  }

  /** @param {number} index of the phrase that is read next */
  moveTo(index) {
    this.#spoken = 0;
    this.#guesses = this.#nothing();
    this.#guesses[index] = this.#costs.map((cost) => ({ cost, heard: 0 }));
  }

  /**
   * Hear the latest moment.
   * @param {number} rms dBFS
   */
  heed(rms) {
    const now = performance.now();
    const change = this.#activity.update(rms, now);
    if (change === "started") this.#spoken += START_SECONDS;
    else if (this.#activity.speaking) this.#spoken += Math.min(MAX_STEP, now - this.#updatedAt) / 1000;
    this.#updatedAt = now;
    if (change === "stopped") this.breathe();
  }

  /** @returns {number} the index of the phrase that is being read */
  get index() {
    const [read, pace] = this.#earliestLikely();
    const phrases = this.#phrases;
    const start = read ? phrases[read - 1].end : 0;
    const letters = PACES[pace] * CAUTION * (this.#guesses[read][pace].heard + this.#spoken);
    const sentence = phrases.findIndex(({ isLast }, index) => isLast && index >= read);
    if (sentence < 0) return phrases.length - 1;
    const length = phrases[sentence].end - start;
    const reached = letters > length * (1 + PATIENCE) ? letters - length * PATIENCE : Math.min(letters, length - 1);
    const index = phrases.findIndex(({ end }) => end > start + reached);
    return index < 0 ? phrases.length - 1 : index;
  }

  /** Speech ended: a phrase is over, or several are. */
  breathe() {
    const spoken = Math.max(0.1, this.#spoken - BREATH_MILLISECONDS / 1000); // The end of it was silent already.
    const before = this.#guesses;
    const after = this.#nothing();
    for (const [read, guesses] of before.entries()) {
      for (const [pace, { cost, heard }] of guesses.entries()) {
        if (cost < Infinity) this.#spread(after, read, pace, cost, heard + spoken);
      }
    }
    this.#guesses = after;
    this.#spoken = 0;
    this.#costs = PACES.map((_pace, index) => Math.min(...after.map((guesses) => guesses[index].cost)));
    const least = Math.min(...this.#costs);
    this.#costs = this.#costs.map((cost) => cost - least);
  }

  /**
   * Weigh where a breath after `heard` seconds of speech may be.
   * @param {Guess[][]} after gets the new guesses
   * @param {number} read phrases before
   * @param {number} pace index
   * @param {number} cost until here
   * @param {number} heard
   */
  #spread(after, read, pace, cost, heard) {
    improve(after[read], pace, { cost: cost + BREATH_WITHIN_PHRASE, heard });
    const start = read ? this.#phrases[read - 1].end : 0;
    let passed = 0; // Ends of sentences without a breath.
    for (const [index, { end, isLast }] of this.#phrases.slice(read, read + REACH).entries()) {
      const time = (end - start) / PACES[pace];
      const fit = costOf(heard / time, EVENNESS) + passed * NO_BREATH_AT_SENTENCE + (isLast ? 0 : BREATH_AT_COMMA);
      improve(after[read + index + 1], pace, { cost: cost + fit, heard: 0 });
      if (isLast) passed += 1;
    }
  }

  /** @returns {[read: number, pace: number]} the earliest likely place, and the slowest likely pace there */
  #earliestLikely() {
    const least = Math.min(...this.#guesses.flat().map(({ cost }) => cost));
    const isLikely = (/** @type {Guess} */ { cost }) => cost <= least + LIKELY;
    const read = this.#guesses.findIndex((guesses) => guesses.some(isLikely));
    return [read, this.#guesses[read].findIndex(isLikely)];
  }

  /** @returns {Guess[][]} */
  #nothing() {
    return Array.from({ length: this.#phrases.length + 1 }, () => PACES.map(() => ({ cost: Infinity, heard: 0 })));
  }
}

/**
 * @param {Guess[]} guesses
 * @param {number} pace index
 * @param {Guess} guess
 */
function improve(guesses, pace, guess) {
  if (guess.cost < guesses[pace].cost) guesses[pace] = guess;
}
