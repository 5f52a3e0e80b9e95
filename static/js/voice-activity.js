/** Telling when someone speaks and when they are done, by loudness against the noise of the room. */

const FLOOR_AT_FIRST = -45; // dBFS RMS: of a noisy room, as someone may be speaking from the first moment on
const FLOOR_LOWEST = -62; // dBFS RMS; a microphone that filters noise is quieter still, but no speech is
const FLOOR_HIGHEST = -35; // dBFS RMS
const FLOOR_RISE = 1; // dB a second: noise that stays becomes the floor, a sentence does not
const FLOOR_FALL = 20; // dB a second: a pause between words shows the floor, a moment without signal does not
const BEGINS = { above: 12, after: 150 }; // dB over the floor; milliseconds, as a click of the mouse is shorter
const BEGINS_WARY = { above: 18, after: 300 }; // While an answer plays, some of it comes back through the microphone.
const GOES_ON_ABOVE = 7; // dB over the floor: the end of a sentence is quieter than its beginning
const DIP = 100; // milliseconds of less loudness that do not count

export class VoiceActivity {
  /** Milliseconds of silence after which someone is done. */
  pause;
  /** Whether only clear speech counts as a beginning: while an answer is being heard. */
  wary = false;
  #floor = FLOOR_AT_FIRST;
  #lastLoud = 0;
  #loudSince = null;
  #now = Infinity;
  #speaking = false;

  /** @param {number} pause milliseconds */
  constructor(pause) {
    this.pause = pause;
  }

  /** Whether someone is speaking, or has just made a pause. */
  get speaking() {
    return this.#speaking;
  }

  /** Forget that someone was speaking. */
  reset() {
    this.#speaking = false;
    this.#loudSince = null;
  }

  /**
   * @param {number} rms dBFS, of the last moment
   * @param {number} now milliseconds
   * @returns {"" | "begun" | "over"} what this measurement changes
   */
  heed(rms, now) {
    this.#follow(rms, now);
    this.#noteLoudness(rms - this.#floor, now);
    if (this.#speaking && now - this.#lastLoud >= this.pause) {
      this.reset();
      return "over";
    }
    if (this.#speaking || now !== this.#lastLoud || now - this.#loudSince < this.#beginning.after) return "";
    this.#speaking = true;
    return "begun";
  }

  get #beginning() {
    return this.wary ? BEGINS_WARY : BEGINS;
  }

  /** The floor falls fast to a lower level, and rises slowly to a higher one. */
  #follow(level, now) {
    const seconds = Math.max(0, now - this.#now) / 1000;
    const fallen = Math.max(level, this.#floor - FLOOR_FALL * seconds, FLOOR_LOWEST);
    const risen = Math.min(level, this.#floor + FLOOR_RISE * seconds, FLOOR_HIGHEST);
    this.#floor = level < this.#floor ? fallen : risen;
    this.#now = now;
  }

  #noteLoudness(excess, now) {
    if (excess > (this.#speaking ? GOES_ON_ABOVE : this.#beginning.above)) {
      this.#loudSince ??= now;
      this.#lastLoud = now;
    } else if (now - this.#lastLoud > DIP) {
      this.#loudSince = null;
    }
  }
}
