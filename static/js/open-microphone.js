/** A microphone that stays open: it makes a take each time someone speaks and then pauses. */

import { chosenMicrophone } from "./microphone-choice.js";
import { microphoneStream, Recorder } from "./recorder.js";
import { VoiceActivity } from "./voice-activity.js";

// A take has to start before the speech in it, or its first syllable is lost. So there is always a recording, and one
// that holds only silence is discarded from time to time, after the next one has run for a moment.
const MAX_SILENCE_SECONDS = 2; // at the start of a take, before the next one is started
const PRE_ROLL_SECONDS = 0.6; // that a take holds at least before the speech

/**
 * @typedef {import("./recorder.js").Take} Take
 * @typedef {import("./recorder.js").Level} Level
 * @typedef {{maxSeconds: number, pause: number, onLevel: (level: Level) => void, onSpeech: () => void,
 *   onTake: (take: Take) => void, onLost: () => void}} Options `pause` in milliseconds; `onSpeech` is called when
 *   someone starts to speak, `onTake` after the pause, `onLost` when the system takes the microphone away
 */

export class OpenMicrophone {
  #activity;
  #isClosed = false;
  #isMuted = false;
  #isStarting = false;
  #options;
  /** @type {Recorder[]} oldest first; during speech only the one that holds it */
  #recorders = [];
  #stream;
  #wakeLock; // A dark screen would take the microphone away.

  /**
   * Ask for the microphone. Call it inside a click. Throws a DOMException, for `microphoneProblem`.
   * @param {Options} options
   * @returns {Promise<OpenMicrophone>}
   */
  static async open(options) {
    const microphone = new OpenMicrophone(await microphoneStream(true, chosenMicrophone()), options);
    await microphone.#startRecorder();
    return microphone;
  }

  /**
   * Only for OpenMicrophone.open.
   * @param {MediaStream} stream
   * @param {Options} options
   */
  constructor(stream, options) {
    this.#stream = stream;
    this.#options = options;
    this.#activity = new VoiceActivity(options.pause);
    this.#wakeLock = navigator.wakeLock?.request("screen").catch(() => null);
  }

  /** Whether someone is speaking, or has just paused. */
  get hearing() {
    return this.#activity.speaking;
  }

  /** @param {number} milliseconds the silence that ends a take */
  set pause(milliseconds) {
    this.#activity.pause = milliseconds;
  }

  /** @param {boolean} strict whether only clear speech counts, as while an answer plays */
  set strict(strict) {
    this.#activity.strict = strict;
  }

  /** @param {boolean} isMuted whether it hears only silence */
  set muted(isMuted) {
    this.#isMuted = isMuted;
    for (const recorder of this.#recorders) recorder.muted = isMuted;
  }

  /** End the take now, without waiting for a pause. */
  async send() {
    this.#activity.reset();
    const recorder = this.#recorders.shift();
    this.#renewRecorder();
    if (recorder) this.#options.onTake(await recorder.stop());
  }

  /** Release the microphone. */
  close() {
    this.#isClosed = true;
    for (const recorder of this.#recorders) recorder.stop();
    for (const track of this.#stream.getTracks()) track.stop();
    this.#wakeLock?.then((lock) => lock?.release());
  }

  async #startRecorder() {
    this.#isStarting = true;
    const recorder = await Recorder.start({
      processing: true,
      stream: this.#stream.clone(), // A recorder ends its stream with the take.
      maxSeconds: this.#options.maxSeconds,
      onLevel: (level) => this.#levelMeasured(recorder, level),
    });
    this.#isStarting = false;
    recorder.muted = this.#isMuted;
    this.#recorders.push(recorder);
    recorder.finished.then((take) => this.#recorderEnded(recorder, take));
    if (this.#isClosed) recorder.stop();
  }

  /**
   * @param {Recorder} recorder
   * @param {Level} level
   */
  #levelMeasured(recorder, level) {
    if (this.#isClosed || recorder !== this.#recorders[0]) return;
    this.#options.onLevel(level);
    if (level.verdict === "unknown") return;
    const change = this.#activity.update(level.rms, performance.now());
    if (change === "started") this.#speechStarted();
    if (change === "stopped") this.send();
    if (!this.hearing) this.#renewRecorder();
  }

  #speechStarted() {
    for (const newer of this.#recorders.splice(1)) newer.stop();
    this.#options.onSpeech();
  }

  /** Replace a recorder that holds only silence, or start the first one. */
  #renewRecorder() {
    const [oldest, newer] = this.#recorders;
    if (newer?.seconds > PRE_ROLL_SECONDS) this.#recorders.shift()?.stop();
    else if (!newer && !this.#isStarting && !(oldest?.seconds < MAX_SILENCE_SECONDS)) this.#startRecorder();
  }

  /**
   * Handle a recorder in use that ended by itself: its time was up, or the microphone was taken away.
   * @param {Recorder} recorder
   * @param {Take} take
   */
  #recorderEnded(recorder, take) {
    if (this.#isClosed || !this.#recorders.includes(recorder)) return;
    if (!take.interrupted) {
      this.send();
      return;
    }
    this.close();
    this.#options.onLost();
  }
}
