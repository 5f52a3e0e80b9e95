/** The recorder of the guide: its button, the level, the clock, and the text that follows the voice. */

import { Coach } from "./coach.js";
import { byId, find } from "./elements.js";
import { report } from "./guide.js";
import { clearLevel, drawLevel } from "./live-wave.js";
import { chosenMicrophone, showLevelWord, showMicrophoneProblem, showMicrophones } from "./microphone.js";
import { clock, text } from "./page.js";
import { Prompter } from "./prompter.js";
import { microphoneProblem, Recorder } from "./recorder.js";

/**
 * @typedef {import("./recorder.js").Level} Level
 * @typedef {import("./recorder.js").Take} Take
 * @typedef {{maxSeconds: () => number, needed: (seconds: number) => string, mayStart: () => boolean,
 *   onSeconds?: (seconds: number) => void, onTake: (take: Take) => void}} Options
 *   `needed` tells what is missing after so many seconds; `onTake` gets a take in which something was heard
 */

export class Booth {
  prompter = new Prompter(byId("prompter"));
  #button = byId("record", "button");
  #coach = new Coach();
  #isAsking = false; // for permission
  #options;
  /** @type {HTMLElement | null} */
  #pause = document.querySelector("#pause"); // A statement is read in one go.
  #place = byId("recording");
  /** @type {Recorder | null} */
  #recorder = null;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#button.addEventListener("click", () => this.press());
    this.#button.disabled = false;
    this.#pause?.addEventListener("click", () => this.#pauseOrGoOn());
    this.#show();
  }

  get isRecording() {
    return this.#recorder !== null;
  }

  get #isPaused() {
    return Boolean(this.#recorder?.paused);
  }

  get button() {
    return this.#button;
  }

  press() {
    if (this.#isAsking || !this.#options.mayStart()) return;
    if (this.#recorder) this.#recorder.stop();
    else this.#record();
  }

  #pauseOrGoOn() {
    if (this.#isPaused) this.#recorder?.resume();
    else this.#recorder?.pause();
    this.#show();
    report(text(this.#isPaused ? "paused" : "recording"));
  }

  async #record() {
    this.#isAsking = true;
    report(text("asking"), "note");
    try {
      const [deviceId, maxSeconds] = [chosenMicrophone(), this.#options.maxSeconds()];
      const onLevel = (/** @type {Level} */ level) => this.#hear(level);
      this.#recorder = await Recorder.start({ processing: false, deviceId, maxSeconds, onLevel });
    } catch (error) {
      const problem = text(microphoneProblem(error));
      showMicrophoneProblem(problem);
      report(problem);
      return;
    } finally {
      this.#isAsking = false;
    }
    showMicrophoneProblem();
    showMicrophones();
    this.#coach = new Coach();
    this.prompter.begin();
    this.#show();
    report(text("recording"));
    const take = await this.#recorder.finished;
    this.#recorder = null;
    this.prompter.end();
    clearLevel();
    this.#options.onSeconds?.(0);
    this.#show();
    if (take.heard) this.#options.onTake(take);
    else report(text("take-silent"), "error");
  }

  /** @param {Level} level */
  #hear(level) {
    const { rms, seconds, verdict } = level;
    showLevelWord(text(`level-${verdict}`), verdict);
    byId("clock").textContent = clock(seconds);
    byId("needed").textContent = this.#coach.advise(level) || this.#options.needed(seconds);
    this.#options.onSeconds?.(seconds);
    if (verdict === "unknown") return; // Nothing is measured.
    drawLevel(rms);
    this.prompter.heed(rms);
  }

  #show() {
    find(this.#button, ".label").textContent = text(this.#recorder ? "stop" : "start");
    byId("device", "select").disabled = this.isRecording;
    this.#place.classList.toggle("live", this.isRecording);
    this.#place.classList.toggle("paused", this.#isPaused);
    if (this.#pause) {
      this.#pause.hidden = !this.isRecording;
      this.#pause.textContent = text(this.#isPaused ? "resume" : "pause");
    }
    if (this.#isPaused) byId("needed").textContent = text("paused");
    if (!this.isRecording || this.#isPaused) showLevelWord(text(this.#isPaused ? "level-paused" : "level-off"), "");
  }
}
