/** A microphone that stays open: every time someone speaks and then pauses, there is a take. */

import { microphoneStream, Recorder } from "./recorder.js";
import { VoiceActivity } from "./voice-activity.js";

// A take must begin before the voice does, or its first syllable is lost; so something is always being recorded. What
// holds nothing but silence is thrown away from time to time, when the next one has run for a moment.
const LONGEST_SILENCE = 2; // seconds at the start of a take, after which the next one is begun
const RUN_UP = 0.6; // seconds before the voice that a take holds at least

/**
 * @typedef {import("./recorder.js").Take} Take
 * @typedef {import("./recorder.js").Level} Level
 * @typedef {{maxSeconds: number, pause: number, onLevel: (level: Level) => void, onVoice: () => void,
 *   onTake: (take: Take) => void, onLost: () => void}} Options `pause` in milliseconds; `onVoice` is called when
 *   someone begins to speak, `onTake` when they are done, `onLost` when the system takes the microphone away
 */

export class OpenMicrophone {
  #activity;
  #closed = false;
  #options;
  #recorders = []; // oldest first; while someone speaks, only the one that takes it down
  #screen; // kept from going dark, which would take the microphone away
  #starting = false;
  #stream;

  /**
   * Ask for the microphone. Call it inside a click. Throws a DOMException, for `microphoneProblem`.
   * @param {Options} options
   * @returns {Promise<OpenMicrophone>}
   */
  static async open(options) {
    const microphone = new OpenMicrophone(await microphoneStream(true), options);
    await microphone.#record();
    return microphone;
  }

  /** For OpenMicrophone.open alone. */
  constructor(stream, options) {
    this.#stream = stream;
    this.#options = options;
    this.#activity = new VoiceActivity(options.pause);
    this.#screen = navigator.wakeLock?.request("screen").catch(() => null);
  }

  /** Whether someone is speaking, or has just made a pause. */
  get hearing() {
    return this.#activity.speaking;
  }

  /** @param {number} milliseconds the silence that ends a take */
  set pause(milliseconds) {
    this.#activity.pause = milliseconds;
  }

  /** @param {boolean} wary whether only clear speech counts: while an answer is being heard */
  set wary(wary) {
    this.#activity.wary = wary;
  }

  /** End the take now, without waiting for a pause. */
  async send() {
    this.#activity.reset();
    const recorder = this.#recorders.shift();
    this.#renew();
    this.#options.onTake(await recorder.stop());
  }

  /** Give the microphone back. */
  close() {
    this.#closed = true;
    for (const recorder of this.#recorders) recorder.stop();
    for (const track of this.#stream.getTracks()) track.stop();
    this.#screen?.then((lock) => lock?.release());
  }

  async #record() {
    this.#starting = true;
    const recorder = await Recorder.start({
      processing: true,
      stream: this.#stream.clone(), // A recorder ends the stream that it records.
      maxSeconds: this.#options.maxSeconds,
      onLevel: (level) => this.#heed(recorder, level),
    });
    this.#starting = false;
    this.#recorders.push(recorder);
    recorder.finished.then((take) => this.#finished(recorder, take));
    if (this.#closed) recorder.stop();
  }

  #heed(recorder, level) {
    if (this.#closed || recorder !== this.#recorders[0]) return;
    this.#options.onLevel(level);
    if (level.verdict === "unknown") return;
    const change = this.#activity.heed(level.rms, performance.now());
    if (change === "begun") this.#begin();
    if (change === "over") this.send();
    if (!this.hearing) this.#renew();
  }

  #begin() {
    for (const newer of this.#recorders.splice(1)) newer.stop();
    this.#options.onVoice();
  }

  #renew() {
    const [oldest, newer] = this.#recorders;
    if (newer?.seconds > RUN_UP) this.#recorders.shift().stop();
    else if (!newer && !this.#starting && !(oldest?.seconds < LONGEST_SILENCE)) this.#record();
  }

  /** A recorder that is still in use ended by itself: its time was up, or the microphone was taken away. */
  #finished(recorder, take) {
    if (this.#closed || !this.#recorders.includes(recorder)) return;
    if (!take.interrupted) {
      this.send();
      return;
    }
    this.close();
    this.#options.onLost();
  }
}
