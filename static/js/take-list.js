/** The takes of a new voice: kept in the browser, measured by the server, listened to, removed. */

import { request } from "./api.js";
import { clock, text } from "./page.js";
import { TakeStore } from "./takes.js";
import { drawWaveform } from "./waveform.js";

/** @typedef {import("./takes.js").Take} Take */

export class TakeList {
  #items = new Map();
  #list;
  #listeners;
  #store = null;
  #template;

  /**
   * @param {HTMLElement} list
   * @param {HTMLTemplateElement} template
   * @param {{onChange: () => void, onChecked: (name: string, verdict: string) => void, onRemoved: () => void,
   *   onRepeat: () => void}} listeners `onRepeat`: a take was removed to be recorded again
   */
  constructor(list, template, listeners) {
    this.#list = list;
    this.#template = template;
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

  /** Show what the last visit left. @param {string} owner the user's id @returns {Promise<number>} how many takes */
  async restore(owner) {
    let kept;
    try {
      this.#store = await TakeStore.open(owner);
      kept = await this.#store.all();
    } catch {
      return 0; // The page works without; keep() says so when there is something to lose.
    }
    for (const take of kept) this.#show(take);
    return kept.length;
  }

  /** @param {{blob: Blob, name: string, seconds: number}} sound @returns {Promise<boolean>} whether it is stored */
  async keep({ blob, name, seconds }) {
    const take = { blob, name, seconds };
    const stored = await this.#save(take);
    this.#show(take);
    return stored;
  }

  async clear() {
    for (const take of this.takes) await this.#remove(take);
  }

  async #save(take) {
    try {
      await this.#store.save(take);
      return true;
    } catch {
      return false;
    }
  }

  async #remove(take) {
    const item = this.#items.get(take);
    URL.revokeObjectURL(item.querySelector("audio").src);
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
  #show(take) {
    const item = this.#template.content.firstElementChild.cloneNode(true);
    this.#items.set(take, item);
    this.#list.append(item);
    item.querySelector("audio").src = URL.createObjectURL(take.blob);
    item.querySelector(".take-repeat").hidden = take.blob instanceof File;
    this.#draw(take);
    this.#listen(take);
    this.#changed();
    if (take.points || take.refusal) this.#showQuality(take);
    else this.#check(take);
  }

  async #draw(take) {
    const item = this.#items.get(take);
    const seconds = await drawWaveform(item.querySelector(".waveform"), take.blob, item.querySelector("audio"));
    if (take.seconds || !this.#items.has(take)) return;
    take.seconds = seconds;
    this.#changed();
  }

  #listen(take) {
    const on = (name, press) => this.#items.get(take).querySelector(name).addEventListener("click", press);
    on(".take-check", () => this.#check(take));
    on(".take-remove", async () => {
      await this.#remove(take);
      this.#listeners.onRemoved();
    });
    on(".take-repeat", async () => {
      await this.#remove(take);
      this.#listeners.onRepeat();
    });
  }

  #showName(take, number) {
    const item = this.#items.get(take);
    const name = take.blob instanceof File ? take.name : text("take-recorded", { number });
    item.querySelector(".take-name").textContent = name;
    item.querySelector(".take-length").textContent = take.seconds ? clock(take.seconds) : text("length-unknown");
    item.querySelector("audio").setAttribute("aria-label", text("take-listen", { name }));
    for (const action of ["remove", "repeat"]) {
      item.querySelector(`.take-${action}`).setAttribute("aria-label", text(`take-${action}`, { name }));
    }
  }

  /** Let the server measure the take. What it can not be asked now, it can be asked later. @param {Take} take */
  async #check(take) {
    this.#showVerdict(take, text("take-checking"));
    const body = new FormData();
    body.append("audio", take.blob, take.name);
    try {
      const answer = await request("POST", "/api/v1/sample-checks", { body });
      const { seconds, points } = await answer.json();
      // How long all takes are together is told below them.
      Object.assign(take, { seconds, points: points.filter((point) => point.code !== "length") });
    } catch (error) {
      if (error.retryable) {
        this.#showVerdict(take, text("take-unchecked", { message: error.message }), "unchecked");
        return;
      }
      take.refusal = error.message;
    }
    if (!this.#items.has(take)) return; // It was removed meanwhile.
    await this.#save(take);
    this.#showQuality(take);
    this.#changed();
    const said = (part) => this.#items.get(take).querySelector(part).textContent;
    this.#listeners.onChecked(said(".take-name"), said(".take-verdict"));
  }

  /** @param {Take} take */
  #showQuality(take) {
    const failed = take.points?.filter((point) => !point.passed) ?? [];
    if (take.refusal) this.#showVerdict(take, take.refusal, "refused");
    else if (failed.length) this.#showVerdict(take, text("take-weak", { count: failed.length }), "weak");
    else this.#showVerdict(take, text("take-good"), "good");
    // What failed comes first, for that is what there is to do something about.
    const points = [...failed, ...(take.points ?? []).filter((point) => point.passed)];
    this.#items.get(take).querySelector(".points").replaceChildren(...points.map(pointItem));
  }

  #showVerdict(take, words, verdict = "checking") {
    const item = this.#items.get(take);
    item.dataset.verdict = verdict;
    item.querySelector(".take-verdict").textContent = words;
    item.querySelector(".take-check").hidden = verdict !== "unchecked";
  }
}

/** @param {import("./takes.js").QualityPoint} point @returns {HTMLElement} */
function pointItem({ label, value, passed, advice }) {
  const item = document.createElement("li");
  item.className = passed ? "point" : "point point-failed";
  const mark = Object.assign(document.createElement("span"), { className: "visually-hidden" });
  mark.textContent = text(passed ? "point-passed" : "point-failed");
  const name = Object.assign(document.createElement("strong"), { textContent: label });
  item.append(mark, name, ` ${value}`);
  if (advice) item.append(Object.assign(document.createElement("span"), { className: "advice", textContent: advice }));
  return item;
}
