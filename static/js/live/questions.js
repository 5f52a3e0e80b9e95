/** The questions of a live session on the page: shown while they are heard. */

import { questionView } from "../asking.js";

/** @typedef {import("../turn-view.js").TurnView} TurnView */

export class LiveQuestions {
  /** @type {Map<string, TurnView>} by the ids of their items */
  #items = new Map();
  #words = "";

  /** Whether what is spoken next belongs to the question on the page. */
  goesOn = false;
  /** The question that is spoken, or was spoken last. @type {TurnView | null} */
  latest = null;

  /** A question begins. */
  begin() {
    if (this.goesOn) this.latest?.begin();
    else this.latest = null;
    this.goesOn = false;
    this.#words = "";
  }

  /** Return the question that is asked now. */
  asked() {
    this.latest ??= questionView();
    return this.latest;
  }

  /** Return the question of an item, if it is on the page. @param {string} itemId */
  known(itemId) {
    return this.#items.get(itemId);
  }

  /**
   * A question had not ended: what is spoken now, or next, belongs to it.
   * @param {TurnView} view
   * @param {boolean} isSpoken whether that has begun
   */
  goOn(view, isSpoken) {
    this.goesOn = !isSpoken;
    if (!isSpoken) return;
    for (const [id, each] of this.#items) if (each === this.latest) this.#items.set(id, view);
    if (this.latest !== view) this.latest?.remove();
    this.latest = view;
    view.begin();
  }

  /** @param {string} itemId */
  get(itemId) {
    const view = this.#items.get(itemId) ?? this.asked();
    this.#items.set(itemId, view);
    return view;
  }

  /** @param {string} itemId @param {string} delta the next words of a question */
  addWords(itemId, delta) {
    this.#words += delta;
    this.get(itemId).transcript = this.#words;
  }

  /** Another connection hears: the items have other ids. @param {boolean} goesOn whether a question is sent again */
  startOver(goesOn) {
    this.goesOn = goesOn;
    this.#words = "";
    this.#items.clear();
  }
}
