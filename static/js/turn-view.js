/** One question and its answer on the page: the list item of templates/conversations/turn.html. */

import { byId, find, findAll } from "./elements.js";
import { text } from "./page.js";

const NEAR_END_PIXELS = 320; // Someone who has scrolled further up is reading there.

/** @typedef {Record<"heard_ms" | "first_word_ms" | "first_audio_ms" | "total_ms", number | null>} Timings */

/**
 * Offer a recording for replay.
 * @param {HTMLElement} clip the .clip of templates/conversations/clip.html
 * @param {string} url
 * @param {number} seconds its length
 */
function offerClip(clip, url, seconds) {
  const audio = find(clip, "audio");
  audio.dataset.seconds = String(seconds);
  audio.src = url;
  find(clip, ".download", "a").href = `${url}?as=mp3`;
  clip.hidden = false;
}

export class TurnView {
  /** Seconds of a question that was recorded on this page, so that it can be replayed once it is stored. */
  questionSeconds = 0;
  #isReplyStale = false; // The reply on the page is from an earlier attempt.
  #item;

  /** Add a new, empty turn to the end of the list. @param {HTMLElement} list @returns {TurnView} */
  static append(list) {
    const { content } = byId("turn", "template");
    const item = find(/** @type {DocumentFragment} */ (content.cloneNode(true)), ".turn");
    list.append(item);
    return new TurnView(item);
  }

  /** @param {HTMLElement} item */
  constructor(item) {
    this.#item = item;
  }

  /** The list item. */
  get item() {
    return this.#item;
  }

  /** The turn's id, or "" if the server does not have the turn yet. */
  get id() {
    return this.#item.dataset.turn ?? "";
  }

  set id(id) {
    this.#item.dataset.turn = id;
  }

  /** @param {string} transcript */
  set transcript(transcript) {
    find(this.#item, ".transcript").textContent = transcript;
    find(this.#item, ".question .copy").hidden = false;
    this.#scrollAlong();
  }

  /** Show a placeholder until the transcript arrives. @param {string} placeholder */
  awaitTranscript(placeholder) {
    find(this.#item, ".transcript").textContent = placeholder;
    this.#scrollAlong();
  }

  /** @param {string} reply */
  set reply(reply) {
    this.#isReplyStale = false;
    find(this.#item, ".reply").textContent = reply;
    find(this.#item, ".answer .copy").hidden = !reply;
    this.#scrollAlong();
  }

  /** @param {string} delta the next part of the reply */
  addReply(delta) {
    if (this.#isReplyStale) this.reply = "";
    this.reply = find(this.#item, ".reply").textContent + delta;
  }

  /** Offer the stored question for replay, if it was spoken. */
  offerQuestion() {
    if (!this.questionSeconds || !this.id) return;
    offerClip(find(this.#item, ".question .clip"), `/api/v1/turns/${this.id}/question`, this.questionSeconds);
  }

  /** Offer the stored answer for replay. @param {number} seconds its length */
  offerAnswer(seconds) {
    offerClip(find(this.#item, ".answer .clip"), `/api/v1/turns/${this.id}/audio`, seconds);
    find(this.#item, ".share", "a").href = `/talk/turns/${this.id}/share`;
    this.#scrollAlong();
  }

  /** Draw when each stage ended. @param {Timings} timings milliseconds since the start of the turn */
  set timings(timings) {
    const total = timings.total_ms;
    let previous = 0;
    for (const row of findAll(this.#item, ".timing")) {
      const milliseconds = timings[/** @type {keyof Timings} */ (row.dataset.timing)];
      row.hidden = milliseconds === null;
      if (milliseconds === null) continue;
      find(row, "svg").setAttribute("viewBox", `0 0 ${total} 1`);
      const bar = find(row, "line");
      bar.setAttribute("x1", String(previous));
      bar.setAttribute("x2", String(milliseconds));
      find(row, ".timing-ms").textContent = String(milliseconds);
      previous = milliseconds;
    }
    find(this.#item, ".timings").hidden = !total;
  }

  /** Start the turn or another attempt. An earlier reply stays until a new one comes: perhaps only its sound failed. */
  begin() {
    this.#isReplyStale = true;
    this.#item.dataset.status = "";
    find(this.#item, ".turn-failed").hidden = true;
    find(this.#item, ".turn-note").hidden = true;
    this.#item.scrollIntoView({ block: "end" });
  }

  /** Show that the answer is complete, though it may still play. */
  complete() {
    this.#item.dataset.status = "spoken";
  }

  /** Show that the turn was stopped. */
  stop() {
    this.#item.dataset.status = "interrupted";
    find(this.#item, ".turn-note").hidden = false;
    this.#scrollAlong();
  }

  /** @param {string} message @param {boolean} retryable whether to offer another attempt @param {Element} [link] */
  fail(message, retryable, link) {
    this.#item.dataset.status = "failed";
    find(this.#item, ".turn-error").replaceChildren(message, ...(link ? [" ", link] : []));
    find(this.#item, ".retry").hidden = !retryable;
    find(this.#item, ".turn-failed").hidden = false;
    this.#item.scrollIntoView({ block: "end" });
  }

  /** Show the turns of these items as earlier versions of this one. @param {HTMLElement[]} items */
  takePlaceOf(items) {
    const versions = find(this.#item, ".versions");
    const list = find(versions, "ol");
    for (const item of items) {
      list.append(...findAll(item, ".versions > ol > li"), item);
      item.className = "version";
    }
    find(versions, ".versions-count").textContent = text("earlier-versions", { count: list.children.length });
    versions.hidden = false;
  }

  /** Remove the turn from the page, because the server does not have it. */
  remove() {
    this.#item.remove();
  }

  /** Keep the turn in view while it grows. */
  #scrollAlong() {
    const { scrollHeight } = document.documentElement;
    const isNearEnd = window.scrollY + window.innerHeight > scrollHeight - NEAR_END_PIXELS;
    if (isNearEnd) this.#item.scrollIntoView({ block: "end" });
  }
}
