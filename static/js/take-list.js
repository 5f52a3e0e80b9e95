/** The takes of a new voice on the page: stored in the browser, checked by the server, played, removed. */

import { ApiError, request } from "./api.js";
import { byId, create, find } from "./elements.js";
import { clock, text } from "./page.js";
import { TakeStore } from "./takes.js";
import { drawWaveform } from "./waveform.js";

/** @typedef {import("./takes.js").Take} Take */

export class TakeList {
  /** @type {Map<Take, HTMLElement>} */
  #items = new Map();
  #list = byId("takes");
  #listeners;
  /** @type {TakeStore | null} */
  #store = null;
  #template = byId("take", "template");

  /**
   * @param {{onChange: () => void, onRemoved: () => void, onRepeat: () => void}} listeners `onRepeat` is called when a
   *   take was removed to be recorded again
   */
  constructor(listeners) {
    this.#listeners = listeners;
  }

  /** @returns {Take[]} */
  get takes() {
    return [...this.#items.keys()];
  }

  /** Seconds of all takes. */
  get seconds() {
    return this.takes.reduce((sum, take) => sum + take.seconds, 0);
  }

  /**
   * Show the takes stored in an earlier visit.
   * @param {string} owner the user's id
   * @returns {Promise<number>} how many takes
   */
  async restore(owner) {
    let stored;
    try {
      this.#store = await TakeStore.open(owner, "sample");
      stored = await this.#store.all();
    } catch {
      return 0; // The page works without a store; add() reports that nothing is stored.
    }
    for (const take of stored) this.#show(take);
    return stored.length;
  }

  /**
   * @param {{blob: Blob, name: string, seconds: number}} recording 0 seconds if the length is unknown
   * @returns {Promise<boolean>} whether it is stored
   */
  async add({ blob, name, seconds }) {
    const take = { blob, name, seconds };
    const isStored = await this.#save(take);
    this.#show(take);
    return isStored;
  }

  async clear() {
    for (const take of this.takes) await this.#remove(take);
  }

  /** @param {Take} take */
  async #save(take) {
    try {
      await this.#store?.save(take);
      return this.#store !== null;
    } catch {
      return false;
    }
  }

  /** @param {Take} take */
  async #remove(take) {
    const item = this.#itemOf(take);
    URL.revokeObjectURL(find(item, "audio").src);
    item.remove();
    this.#items.delete(take);
    this.#changed();
    await this.#store?.remove(take);
  }

  #changed() {
    for (const [index, take] of this.takes.entries()) this.#showName(take, index + 1);
    this.#listeners.onChange();
  }

  /** @param {Take} take */
  #itemOf(take) {
    return /** @type {HTMLElement} */ (this.#items.get(take));
  }

  /** @param {Take} take */
  #show(take) {
    const item = find(/** @type {DocumentFragment} */ (this.#template.content.cloneNode(true)), ".take");
    this.#items.set(take, item);
    this.#list.append(item);
    find(item, "audio").src = URL.createObjectURL(take.blob);
    find(item, ".take-repeat").hidden = take.blob instanceof File;
    this.#draw(take);
    this.#listen(take);
    this.#changed();
    if (take.points || take.refusal) this.#showQuality(take);
    else this.#check(take);
  }

  /** @param {Take} take */
  async #draw(take) {
    const item = this.#itemOf(take);
    const audio = find(item, "audio");
    const seconds = await drawWaveform(find(item, ".waveform", "svg"), take.blob, audio);
    if (take.seconds || !this.#items.has(take)) return;
    take.seconds = seconds;
    this.#changed();
  }

  /** @param {Take} take */
  #listen(take) {
    const item = this.#itemOf(take);
    /** @type {(selector: string, press: () => void) => void} */
    const onPress = (selector, press) => find(item, selector).addEventListener("click", press);
    onPress(".take-check", () => this.#check(take));
    onPress(".take-remove", async () => {
      await this.#remove(take);
      this.#listeners.onRemoved();
    });
    onPress(".take-repeat", async () => {
      await this.#remove(take);
      this.#listeners.onRepeat();
    });
  }

  /**
   * @param {Take} take
   * @param {number} number
   */
  #showName(take, number) {
    const item = this.#itemOf(take);
    const name = take.blob instanceof File ? take.name : text("take-recorded", { number });
    find(item, ".take-name").textContent = name;
    find(item, ".take-length").textContent = take.seconds ? clock(take.seconds) : text("length-unknown");
    find(item, "audio").setAttribute("aria-label", text("take-listen", { name }));
    for (const action of ["remove", "repeat"]) {
      find(item, `.take-${action}`).setAttribute("aria-label", text(`take-${action}`, { name }));
    }
  }

  /** Let the server check the take. After a passing problem the person can repeat the check. @param {Take} take */
  async #check(take) {
    take.problem = undefined;
    this.#listeners.onChange();
    this.#showVerdict(take, text("take-checking"));
    const body = new FormData();
    body.append("audio", take.blob, take.name);
    try {
      const response = await request("POST", "/api/v1/sample-checks", { body });
      /** @type {{seconds: number, points: import("./takes.js").QualityPoint[]}} */
      const { seconds, points } = await response.json();
      // The page shows one verdict on the length of all takes.
      Object.assign(take, { seconds, points: points.filter((point) => point.code !== "length") });
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      if (error instanceof ApiError && error.retryable) {
        take.problem = message;
        if (this.#items.has(take)) this.#showVerdict(take, text("take-unchecked", { message }), "unchecked");
        this.#changed();
        return;
      }
      take.refusal = message;
    }
    if (!this.#items.has(take)) return; // It was removed during the check.
    await this.#save(take);
    this.#showQuality(take);
    this.#changed();
  }

  /** @param {Take} take */
  #showQuality(take) {
    const points = take.points ?? [];
    const failed = points.filter((point) => !point.passed);
    if (take.refusal) this.#showVerdict(take, take.refusal, "refused");
    else if (failed.length) this.#showVerdict(take, text("take-weak", { count: failed.length }), "weak");
    else this.#showVerdict(take, text("take-good"), "good");
    // Failed points come first, because the person can do something about them.
    const sorted = [...failed, ...points.filter((point) => point.passed)];
    find(this.#itemOf(take), ".points").replaceChildren(...sorted.map(pointItem));
  }

  /**
   * @param {Take} take
   * @param {string} words
   * @param {"checking" | "unchecked" | "refused" | "weak" | "good"} [verdict]
   */
  #showVerdict(take, words, verdict = "checking") {
    const item = this.#itemOf(take);
    item.dataset.verdict = verdict;
    find(item, ".take-verdict").textContent = words;
    find(item, ".take-check").hidden = verdict !== "unchecked";
  }
}

/**
 * @param {import("./takes.js").QualityPoint} point
 * @returns {HTMLElement}
 */
function pointItem({ label, value, passed, advice }) {
  const item = create("li", { className: passed ? "point" : "point point-failed" });
  const result = text(passed ? "point-passed" : "point-failed");
  const mark = create("span", { className: "visually-hidden", textContent: result });
  item.append(mark, create("strong", { textContent: label }), ` ${value}`);
  if (advice) item.append(create("span", { className: "advice", textContent: advice }));
  return item;
}
