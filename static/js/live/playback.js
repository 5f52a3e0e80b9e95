/** Playback of an answer in the audio thread, where what was heard of it is known to the sample. */

import { pcmOf } from "../player.js";
import { answerOutput } from "../sound.js";

/** Has the methods of `Player`. */
export class LivePlayer {
  #context;
  #gain;
  #heardSeconds = 0; // of this answer
  #isStopped = true;
  #node;
  /** @type {((seconds: number) => void)[]} one for each answer that was stopped, of which the count is still to come */
  #counts = [];
  /** @type {(() => void) | undefined} */
  #resolve;
  #seconds = 0;

  /** Resolves when the answer was played to its end, or stopped. @type {Promise<void>} */
  ended = Promise.resolve();

  /** @param {AudioContext} context it has the worklet */
  constructor(context) {
    this.#context = context;
    this.#gain = context.createGain();
    this.#node = new AudioWorkletNode(context, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.connect(this.#gain).connect(answerOutput());
    this.#node.port.onmessage = ({ data }) => this.#told(data);
  }

  /** Prepare for a new answer. */
  begin() {
    this.stop();
    this.#seconds = this.#heardSeconds = 0;
    this.#isStopped = false;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /**
   * Play the next piece after those before.
   * @param {string} base64 mono s16le PCM, whole samples
   * @param {number} rate hertz
   */
  add(base64, rate) {
    if (this.#isStopped) return;
    const samples = pcmOf(base64);
    this.#seconds += samples.length / rate;
    this.#node.port.postMessage({ samples, rate }, [samples.buffer]);
  }

  /** The last piece was added: `ended` resolves when all was played. */
  finish() {
    if (this.#context.state !== "running") this.#resolve?.(); // Without a loudspeaker the clock stands still.
    this.#node.port.postMessage("finish");
  }

  /** Stop playback at once. @returns {Promise<number>} the seconds of the answer that were heard */
  stop() {
    this.#isStopped = true;
    this.#resolve?.();
    this.#node.port.postMessage("clear");
    return new Promise((resolve) => this.#counts.push(resolve));
  }

  /** Seconds of the answer that were added. */
  get seconds() {
    return this.#seconds;
  }

  /** Seconds of the answer that were heard. */
  get heardSeconds() {
    return this.#heardSeconds;
  }

  get muted() {
    return this.#gain.gain.value === 0;
  }

  /** @param {boolean} muted */
  set muted(muted) {
    this.#gain.gain.value = muted ? 0 : 1;
  }

  /** @param {"started" | "ended" | {state: "playing" | "cleared", playedSeconds: number}} data */
  #told(data) {
    if (data === "started") {
      performance.mark("first-sound");
    } else if (data === "ended") {
      this.#resolve?.();
    } else {
      const heard = Math.max(0, data.playedSeconds - (this.#context.outputLatency || 0));
      if (data.state === "cleared") this.#counts.shift()?.(heard);
      else if (!this.#counts.length) this.#heardSeconds = heard; // Otherwise it is of the answer before.
    }
  }
}
