/**
 * A text to read aloud that follows the voice: it highlights the phrase that is being read, and scrolls with it.
 *
 * It hears only whether somebody speaks. So it counts letters while they do, waits at the end of each sentence for the
 * breath that people take there, and learns from these breaths how fast this person reads.
 */

import { create, findAll } from "./elements.js";
import { VoiceActivity } from "./voice-activity.js";

const BREATH_MILLISECONDS = 300; // A shorter silence is inside a word.
const FIRST_PACE = 10; // Letters in a second: a slow reader, because waiting disturbs less than hurrying.
const SLOWEST_PACE = 5;
const FASTEST_PACE = 18;
const LEARNED = 0.4; // The share of the latest phrases in the pace.
const MIN_SECONDS_TO_LEARN = 1;
const PATIENCE = 0.5; // The share of a sentence's length that it waits at the end for a breath.
const TOLERANCE = 0.4; // A breath ends the nearest phrase within this share of what was counted since the last one.
const OWN_SCROLL_MILLISECONDS = 4000; // How long a person's own scrolling is left alone.

const PHRASE = /[^,.;:!?…]+[,.;:!?…”’"')]*\s*/g;
const SENTENCE_END = /[.!?…][”’"')]*\s*$/;

/** @typedef {{element: HTMLElement, end: number, isLast: boolean}} Phrase `end` in letters from the beginning */

export class Prompter {
  #box;
  /** @type {Phrase[]} */
  #phrases = [];
  #activity = new VoiceActivity(BREATH_MILLISECONDS);
  #pace = FIRST_PACE;
  #start = 0; // Letters, where the counting began.
  #spoken = 0; // Seconds of speech since then.
  #updatedAt = 0; // Milliseconds.
  #scrolledAt = -Infinity; // Milliseconds, by the person.

  /** @param {HTMLElement} box contains the text, and scrolls if it is lower than the text */
  constructor(box) {
    this.#box = box;
    this.prepare();
    for (const type of ["wheel", "touchmove", "keydown"]) {
      box.addEventListener(type, () => (this.#scrolledAt = performance.now()), { passive: true });
    }
    box.addEventListener("click", ({ target }) => {
      const index = this.#phrases.findIndex(({ element }) => element === target);
      if (index >= 0) this.#moveTo(index ? this.#phrases[index - 1].end : 0);
    });
  }

  /** Divide the text into phrases, and go to its beginning. Call it again after the text has changed. */
  prepare() {
    let end = 0;
    this.#phrases = [];
    for (const block of findAll(this.#box, "p, blockquote")) {
      const texts = block.textContent.trim().replace(/\s+/g, " ").match(PHRASE) ?? [];
      const elements = texts.map((words) => create("span", { className: "phrase", textContent: words }));
      block.replaceChildren(...elements);
      for (const [index, element] of elements.entries()) {
        end += element.textContent.replace(/[^\p{L}\p{N}]/gu, "").length;
        const isLast = index === elements.length - 1 || SENTENCE_END.test(element.textContent);
        this.#phrases.push({ element, end, isLast });
      }
    }
    this.#start = this.#spoken = 0;
    this.#box.scrollTop = 0;
  }

  /** Begin to follow a voice, from where it stopped. */
  begin() {
    this.#activity = new VoiceActivity(BREATH_MILLISECONDS);
    this.#updatedAt = performance.now();
    this.#box.classList.add("following");
    this.#show();
  }

  end() {
    this.#breathe();
    this.#box.classList.remove("following");
  }

  /** Go to the beginning of the next text. */
  skip() {
    const texts = findAll(this.#box, ".passage");
    const current = this.#current()?.element.closest(".passage");
    const next = texts[(texts.findIndex((each) => each === current) + 1) % texts.length];
    const index = this.#phrases.findIndex(({ element }) => next.contains(element));
    this.#moveTo(index ? this.#phrases[index - 1].end : 0);
    this.#scrollTo(next);
  }

  /**
   * Hear the latest moment.
   * @param {number} rms dBFS
   */
  heed(rms) {
    const now = performance.now();
    const seconds = (now - this.#updatedAt) / 1000;
    this.#updatedAt = now;
    const change = this.#activity.update(rms, now);
    if (change === "stopped") {
      this.#spoken = Math.max(0, this.#spoken - BREATH_MILLISECONDS / 1000); // It was silent already.
      this.#breathe();
    } else if (this.#activity.speaking) {
      this.#spoken += seconds;
    }
    this.#show();
  }

  get #counted() {
    return this.#pace * this.#spoken;
  }

  /** Letters that are surely read: not beyond a sentence's end before a breath, unless it is long overdue. */
  get #position() {
    const reached = this.#start + this.#counted;
    const gate = this.#phrases.find(({ end, isLast }) => isLast && end > this.#start)?.end ?? reached;
    return reached > gate + PATIENCE * (gate - this.#start) ? reached : Math.min(reached, gate - 1);
  }

  /** At a breath, the nearest end of a phrase is reached. */
  #breathe() {
    const reached = this.#start + this.#counted;
    const distance = ({ end = 0 }) => Math.abs(end - reached);
    const ahead = this.#phrases.filter(({ end }) => end > this.#start);
    const [nearest] = ahead.toSorted((one, other) => distance(one) - distance(other));
    if (!nearest || distance(nearest) > TOLERANCE * this.#counted) return;
    if (this.#spoken >= MIN_SECONDS_TO_LEARN) this.#learn((nearest.end - this.#start) / this.#spoken);
    this.#start = nearest.end;
    this.#spoken = 0;
  }

  /** @param {number} pace letters in a second */
  #learn(pace) {
    const mixed = this.#pace * (1 - LEARNED) + pace * LEARNED;
    this.#pace = Math.min(FASTEST_PACE, Math.max(SLOWEST_PACE, mixed));
  }

  /** @param {number} letters */
  #moveTo(letters) {
    this.#start = letters;
    this.#spoken = 0;
    this.#scrolledAt = -Infinity;
    this.#show();
  }

  #current() {
    return this.#phrases.find(({ end }) => end > this.#position) ?? this.#phrases.at(-1);
  }

  #show() {
    const current = this.#current()?.element;
    if (!current || current.classList.contains("now")) return;
    let isSaid = true;
    for (const { element } of this.#phrases) {
      if (element === current) isSaid = false;
      element.classList.toggle("now", element === current);
      element.classList.toggle("said", isSaid);
    }
    this.#scrollTo(current);
  }

  /** @param {HTMLElement} element is brought to the upper third of the box */
  #scrollTo(element) {
    if (performance.now() - this.#scrolledAt < OWN_SCROLL_MILLISECONDS) return;
    const top = element.getBoundingClientRect().top - this.#box.getBoundingClientRect().top + this.#box.scrollTop;
    const behavior = window.matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    this.#box.scrollTo({ top: Math.max(0, top - this.#box.clientHeight / 4), behavior });
  }
}
