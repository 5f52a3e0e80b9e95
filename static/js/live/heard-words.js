/** Shows the words of an answer when they are heard: they come seconds before their sound is played. */

const LOOK_MILLISECONDS = 50;

/**
 * Return the beginning of a text that has so many characters, spaces not counted.
 * @param {string} text
 * @param {number} count
 */
function beginning(text, count) {
  let end = 0;
  for (let left = count; left > 0 && end < text.length; end += 1) if (/\S/.test(text[end])) left -= 1;
  return text.slice(0, end);
}

export class HeardWords {
  /** @type {{start: number, characters: number}[]} of each piece of sound: its start, and what is said by its end */
  #pieces = [];
  #player;
  #shown = "";
  #text = "";
  #timer = 0;
  #view;

  /**
   * @param {import("../turn-view.js").TurnView} view
   * @param {import("./playback.js").LivePlayer} player
   */
  constructor(view, player) {
    this.#view = view;
    this.#player = player;
  }

  /** @param {string} text all words that have come */
  set text(text) {
    this.#text = text;
    this.#timer ||= setInterval(() => this.#show(), LOOK_MILLISECONDS);
    this.#show();
  }

  /**
   * A piece of sound has come.
   * @param {number} start seconds of the sound before it
   * @param {number} characters of the whole text that are said by its end, spaces not counted
   */
  addPiece(start, characters) {
    this.#pieces.push({ start, characters });
  }

  /** What is not shown by now was not heard. */
  stop() {
    clearInterval(this.#timer);
  }

  #show() {
    const words = this.#player.muted ? this.#text : beginning(this.#text, this.#heardCharacters());
    if (words.length <= this.#shown.length) return;
    this.#shown = this.#view.reply = words;
  }

  #heardCharacters() {
    const seconds = this.#player.heardSeconds;
    const isNext = () => this.#pieces.length > 1 && this.#pieces[1].start <= seconds;
    while (isNext()) this.#pieces.shift();
    return seconds > 0 ? (this.#pieces[0]?.characters ?? 0) : 0;
  }
}
