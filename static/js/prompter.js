/** A text to read aloud that follows the voice: it highlights the phrase that is being read, and scrolls with it. */

import { create, findAll } from "./elements.js";
import { ReadingPace } from "./reading-pace.js";

const OWN_SCROLL_MILLISECONDS = 4000; // How long a person's own scrolling is left alone.
const PHRASE = /[^,.;:!?…]+[,.;:!?…”’"')]*\s*/g;
const SENTENCE_END = /[.!?…][”’"')]*\s*$/;

export class Prompter {
  #box;
  /** @type {(import("./reading-pace.js").Phrase & {element: HTMLElement})[]} */
  #phrases = [];
  #pace = new ReadingPace([]);
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
      if (index >= 0) this.#moveTo(index);
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
    this.#pace = new ReadingPace(this.#phrases);
    this.#box.scrollTop = 0;
  }

  /** Begin to follow a voice, from where it stopped. */
  begin() {
    this.#pace.begin();
    this.#box.classList.add("following");
    this.#show();
  }

  end() {
    this.#pace.breathe();
    this.#box.classList.remove("following");
  }

  /** Go to the beginning of the next text. */
  skip() {
    const texts = findAll(this.#box, ".passage");
    const current = this.#phrases[this.#pace.index].element.closest(".passage");
    const next = texts[(texts.findIndex((each) => each === current) + 1) % texts.length];
    this.#moveTo(this.#phrases.findIndex(({ element }) => next.contains(element)));
    this.#scrollTo(next, 0);
  }

  /**
   * Hear the latest moment.
   * @param {number} rms dBFS
   */
  heed(rms) {
    this.#pace.heed(rms);
    this.#show();
  }

  /** @param {number} index of a phrase */
  #moveTo(index) {
    this.#pace.moveTo(index);
    this.#scrolledAt = -Infinity;
    this.#show();
  }

  #show() {
    const current = this.#pace.index;
    const { element } = this.#phrases[current];
    if (element.classList.contains("now")) return;
    for (const [index, phrase] of this.#phrases.entries()) {
      phrase.element.classList.toggle("done", index < current);
      phrase.element.classList.toggle("now", index === current);
    }
    this.#scrollTo(element, this.#box.clientHeight / 4);
  }

  /**
   * @param {HTMLElement} element
   * @param {number} below pixels from the top of the box
   */
  #scrollTo(element, below) {
    if (performance.now() - this.#scrolledAt < OWN_SCROLL_MILLISECONDS) return;
    const top = element.getBoundingClientRect().top - this.#box.getBoundingClientRect().top + this.#box.scrollTop;
    const behavior = window.matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    this.#box.scrollTo({ top: Math.max(0, top - below), behavior });
  }
}
