/** One question and its answer on the page: the list item of templates/conversations/turn.html. */

import { offerClip } from "./clips.js";

const NEAR = 320; // pixels from the end of the page: whoever has scrolled further up is reading there

export class TurnView {
  #item;
  /** Seconds of a question that was recorded here, so that its sound can be offered once it is stored. */
  questionSeconds = 0;
  #stale = false; // the reply on show is an earlier attempt's

  /** A new, empty turn at the end of the list. @param {HTMLElement} list @returns {TurnView} */
  static append(list) {
    const item = document.getElementById("turn").content.firstElementChild.cloneNode(true);
    list.append(item);
    return new TurnView(item);
  }

  /** @param {HTMLElement} item */
  constructor(item) {
    this.#item = item;
  }

  get id() {
    return this.#item.dataset.turn;
  }

  set id(id) {
    this.#item.dataset.turn = id;
  }

  set transcript(transcript) {
    this.#part(".transcript").textContent = transcript;
    this.#part(".question .copy").hidden = false;
    this.#follow();
  }

  /** Stand in for the transcript of a recording. @param {string} placeholder */
  awaitTranscript(placeholder) {
    this.#part(".transcript").textContent = placeholder;
    this.#follow();
  }

  set reply(reply) {
    this.#stale = false;
    this.#part(".reply").textContent = reply;
    this.#follow();
  }

  /** @param {string} delta what was written next */
  addReply(delta) {
    if (this.#stale) this.reply = "";
    this.#part(".reply").append(delta);
    this.#part(".answer .copy").hidden = false;
    this.#follow();
  }

  /** Offer the stored question for replay, if it was spoken. */
  offerQuestion() {
    if (this.questionSeconds) offerClip(this.#part(".question .clip"), this.#sound("question"), this.questionSeconds);
  }

  /** Offer the stored answer for replay. @param {number} seconds its length */
  offerAnswer(seconds) {
    offerClip(this.#part(".answer .clip"), this.#sound("audio"), seconds);
    this.#follow();
  }

  /** Draw how long each stage took. @param {Record<string, number | null>} timings milliseconds since the beginning */
  set timings(timings) {
    const total = timings.total_ms;
    let before = 0;
    for (const row of this.#item.querySelectorAll(".timing")) {
      const milliseconds = timings[row.dataset.timing];
      row.hidden = milliseconds === null;
      if (row.hidden) continue;
      row.querySelector("svg").setAttribute("viewBox", `0 0 ${total} 1`);
      row.querySelector("line").setAttribute("x1", before);
      row.querySelector("line").setAttribute("x2", milliseconds);
      row.querySelector(".timing-ms").textContent = milliseconds;
      before = milliseconds;
    }
    this.#part(".timings").hidden = !total;
  }

  /** Begin, or begin again: an earlier attempt's reply stays until another one comes, as it may only lack its sound. */
  begin() {
    this.#stale = true;
    this.#item.dataset.status = "";
    this.#part(".turn-failed").hidden = true;
    this.#part(".turn-note").hidden = true;
    this.#item.scrollIntoView({ block: "end" });
  }

  /** Say on the turn itself that it was stopped. */
  stop() {
    this.#item.dataset.status = "interrupted";
    this.#part(".turn-note").hidden = false;
    this.#follow();
  }

  /** @param {string} message @param {boolean} retryable whether to offer another attempt */
  fail(message, retryable) {
    this.#item.dataset.status = "failed";
    this.#part(".turn-error").textContent = message;
    this.#part(".retry").hidden = !retryable;
    this.#part(".turn-failed").hidden = false;
    this.#item.scrollIntoView({ block: "end" });
  }

  /** Take the turn off the page: the server has none. */
  remove() {
    this.#item.remove();
  }

  #follow() {
    const { scrollHeight } = document.documentElement;
    if (window.scrollY + window.innerHeight > scrollHeight - NEAR) this.#item.scrollIntoView({ block: "end" });
  }

  #sound(what) {
    return `/api/v1/turns/${this.id}/${what}`;
  }

  #part(selector) {
    return this.#item.querySelector(selector);
  }
}
