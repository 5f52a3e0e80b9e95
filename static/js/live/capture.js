/** The microphone as a stream of small pieces of sound, and its level. */

import { chosenMicrophone } from "../microphone-choice.js";
import { judge, LIMITS, measure, microphoneStream } from "../recorder.js";

export const RATE = 24000; // hertz
const PIECE_SAMPLES = 768; // 32 ms: the server looks at frames of that length
const VERDICT_PIECES = 46; // A verdict covers one and a half seconds: a pause between words is not silence.
const AUDIBLE_RMS = -50; // dBFS
const AUDIBLE_PIECES = 6; // 200 ms; a click of the mouse is shorter

/**
 * @typedef {{onPiece: (piece: Int16Array<ArrayBuffer>) => void,
 *   onLevel: (level: import("../recorder.js").Level) => void,
 *   onLost: (reason: "mute" | "ended") => void}} Callbacks `onLost` when the system takes the microphone away
 */

export class Capture {
  #audibleCount = 0;
  #callbacks;
  #context;
  /** @type {(() => void) | undefined} */
  #ended;
  /** @type {import("../recorder.js").Measurement[]} */
  #latest = [];
  #node;
  #resume = () => {
    if (this.#context.state === "suspended") this.#context.resume(); // As on iOS after a call.
  };
  #samples = 0;
  #source;
  #stream;

  /**
   * Ask for the microphone. Throws a DOMException, for `microphoneProblem`.
   * @param {AudioContext} context it has the worklet
   * @param {Callbacks} callbacks
   */
  static async open(context, callbacks) {
    return new Capture(context, await microphoneStream(true, chosenMicrophone()), callbacks);
  }

  /**
   * Only for Capture.open.
   * @param {AudioContext} context
   * @param {MediaStream} stream
   * @param {Callbacks} callbacks
   */
  constructor(context, stream, callbacks) {
    this.#callbacks = callbacks;
    this.#context = context;
    this.#stream = stream;
    this.#source = context.createMediaStreamSource(stream);
    this.#node = new AudioWorkletNode(context, "capture", {
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { rate: RATE, samples: PIECE_SAMPLES },
    });
    this.#node.port.onmessage = ({ data }) => (data ? this.#take(data) : this.#ended?.());
    this.#source.connect(this.#node).connect(context.destination); // Silent; unconnected, some browsers never run it.
    context.addEventListener("statechange", this.#resume);
    const [track] = stream.getAudioTracks();
    track.addEventListener("mute", () => callbacks.onLost("mute"));
    track.addEventListener("ended", () => callbacks.onLost("ended"));
  }

  /** Whether anything was louder than silence. */
  get isHeard() {
    return this.#audibleCount >= AUDIBLE_PIECES;
  }

  /** @param {boolean} isMuted whether it hears only silence */
  set muted(isMuted) {
    for (const track of this.#stream.getTracks()) track.enabled = !isMuted;
  }

  /** Release the microphone. Resolves when all that was heard has come. */
  async stop() {
    const ended = new Promise((resolve) => {
      this.#ended = () => resolve(null);
      setTimeout(resolve, 200); // If the clock stands still, nothing more comes.
    });
    this.#node.port.postMessage("end");
    await ended;
    this.#context.removeEventListener("statechange", this.#resume);
    this.#source.disconnect();
    this.#node.disconnect();
    for (const track of this.#stream.getTracks()) track.stop();
  }

  /** @param {Int16Array<ArrayBuffer>} piece */
  #take(piece) {
    this.#samples += piece.length;
    const measurement = measure(Float32Array.from(piece, (sample) => sample / 32768));
    if (measurement.rms > AUDIBLE_RMS) this.#audibleCount += 1;
    this.#latest = [...this.#latest, measurement].slice(-VERDICT_PIECES);
    const verdict = judge(this.#latest, LIMITS.question);
    this.#callbacks.onPiece(piece);
    this.#callbacks.onLevel({ ...measurement, verdict, seconds: this.#samples / RATE });
  }
}
