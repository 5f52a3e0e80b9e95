/** Sound of the microphone that may be needed again. Positions are in samples since the microphone was opened. */

export class KeptSound {
  #end = 0;
  /** @type {Int16Array<ArrayBuffer>[]} */
  #pieces = [];
  #start = 0;

  /** The position of the first sample that is kept. */
  get start() {
    return this.#start;
  }

  /** The position after the last sample. */
  get end() {
    return this.#end;
  }

  /** @param {Int16Array<ArrayBuffer>} piece */
  add(piece) {
    this.#pieces.push(piece);
    this.#end += piece.length;
  }

  /** @param {number} position */
  forgetBefore(position) {
    while (this.#pieces.length && this.#start + this.#pieces[0].length <= position) {
      this.#start += this.#pieces[0].length;
      this.#pieces.shift();
    }
  }

  /**
   * Return the piece that begins at a position or holds it, from there on. Without more sound, it is empty.
   * @param {number} position
   */
  piece(position) {
    let start = this.#start;
    for (const piece of this.#pieces) {
      if (position < start + piece.length) return piece.subarray(position - start);
      start += piece.length;
    }
    return new Int16Array(0);
  }

  /** @param {number} position @returns {Blob} a WAV file of all sound from there on */
  wav(position, rate = 24000) {
    const samples = [];
    for (let at = position; at < this.#end; at += samples[samples.length - 1].length) samples.push(this.piece(at));
    return new Blob([header(2 * (this.#end - position), rate), ...samples], { type: "audio/wav" });
  }
}

/**
 * @param {number} bytes
 * @param {number} rate hertz
 * @returns {DataView<ArrayBuffer>} the header of a WAV file with mono s16le samples
 */
function header(bytes, rate) {
  const view = new DataView(new ArrayBuffer(44));
  const words = { 0: "RIFF", 8: "WAVE", 12: "fmt ", 36: "data" };
  for (const [at, word] of Object.entries(words)) {
    for (let index = 0; index < 4; index += 1) view.setUint8(Number(at) + index, word.charCodeAt(index));
  }
  view.setUint32(4, 36 + bytes, true);
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // mono
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  view.setUint32(40, bytes, true);
  return view;
}
