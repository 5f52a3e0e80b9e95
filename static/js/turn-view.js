/** One question and its answer on the page: the list item of templates/conversations/turn.html. */

const NEAR = 320; // pixels from the end of the page: whoever has scrolled further up is reading there

export class TurnView {
  #item;
  /** Whether the question was recorded here, so that its sound can be offered once it is stored. */
  spoken = false;
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
    this.#follow();
  }

  /** Offer the stored question for replay. */
  offerQuestion() {
    this.#offer(".question-audio", "question");
  }

  /** Offer the stored answer for replay. */
  offerAnswer() {
    this.#offer(".answer-audio", "audio");
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
  }

  /** @param {string} message @param {boolean} retryable whether to offer another attempt */
  fail(message, retryable) {
    this.#item.dataset.status = "failed";
    this.#part(".turn-error").textContent = message;
    this.#part(".retry").hidden = !retryable;
    this.#part(".turn-failed").hidden = false;
    this.#item.scrollIntoView({ block: "end" });
  }

  #follow() {
    const { scrollHeight } = document.documentElement;
    if (window.scrollY + window.innerHeight > scrollHeight - NEAR) this.#item.scrollIntoView({ block: "end" });
  }

  #offer(selector, what) {
    const audio = this.#part(selector);
    audio.src = `/api/v1/turns/${this.id}/${what}`;
    audio.hidden = false;
    this.#follow();
  }

  #part(selector) {
    return this.#item.querySelector(selector);
  }
}
