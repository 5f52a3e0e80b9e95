/** Going on with an answer that ended early, and asking a question again. Loaded only when it is used. */

import { interrupt, runTurn } from "./answering.js";
import { questionView } from "./asking.js";
import { voiceMissing } from "./conversation-settings.js";
import { byId, create, find, findAll } from "./elements.js";
import { storedTurn } from "./live/stored-turns.js";
import { announceError, text } from "./page.js";
import { audioContext } from "./sound.js";
import { newKey, regenerateTurn, retryTurn, stopTurn } from "./turn-upload.js";
import { capture } from "./turn-state.js";
import { TurnView } from "./turn-view.js";

/** @typedef {import("./answering.js").TurnEvent} TurnEvent */

/**
 * The key with which each question is asked again, so that a second attempt at the same does not ask twice.
 * @type {WeakMap<Element, {words: string | undefined, key: string}>}
 */
const keys = new WeakMap();
/** The turns that are being asked again. @type {WeakSet<Element>} */
const underWay = new WeakSet();

/**
 * Leave the first seconds of a piece of sound out.
 * @param {{audio: string, sample_rate: number}} sound
 * @param {number} seconds
 * @returns {{rest: string | null, skipped: number}} the sound after them, null if there is none, and the seconds that
 *   it is shorter
 */
function withoutHeard({ audio, sample_rate: rate }, seconds) {
  const pcm = atob(audio);
  const bytes = Math.min(2 * Math.floor(seconds * rate), pcm.length);
  return { rest: bytes < pcm.length ? btoa(pcm.slice(bytes)) : null, skipped: bytes / 2 / rate };
}

/**
 * Go on with a turn that was stopped, without what was heard of it before.
 * @param {HTMLElement} item
 */
async function goOn(item) {
  const view = new TurnView(item);
  audioContext(); // After an await it might not start.
  item.focus(); // The pressed button disappears.
  let before = 0; // seconds that were heard

  /** @param {AbortSignal} signal @returns {AsyncGenerator<TurnEvent, void>} */
  async function* events(signal) {
    let toSkip = (await storedTurn(view.id))?.heard_seconds ?? 0;
    let total = 0;
    for await (const each of retryTurn(view.id, signal)) {
      if (each.event === "done") {
        yield { event: "done", data: { answer_seconds: total, ...each.data } };
      } else if (each.event !== "spoken") {
        yield each;
      } else {
        const { rest, skipped } = withoutHeard(each.data, toSkip);
        toSkip -= skipped;
        before += skipped;
        total += (atob(each.data.audio).length / 2) / each.data.sample_rate;
        if (rest) yield { event: "spoken", data: { ...each.data, audio: rest } };
      }
    }
  }

  return runTurn(view, events, {
    interrupted: (heard) => stopTurn(view.id, Promise.resolve(heard).then((seconds) => before + seconds)),
  });
}

/**
 * Ask the question of a turn again, or `words` in its place. The turn and those after it become an earlier version.
 * @param {HTMLElement} item
 * @param {string} [words]
 */
async function askAgain(item, words) {
  const old = new TurnView(item);
  if (underWay.has(item) || capture.isAsking || voiceMissing()) return;
  underWay.add(item);
  audioContext();
  const known = keys.get(item);
  const { key } = known?.words === words && known ? known : { key: newKey() };
  keys.set(item, { words, key });
  const view = questionView(words ?? find(item, ".transcript").textContent);
  /** @type {unknown} */
  let refusal = null;

  /** @param {AbortSignal} signal @returns {AsyncGenerator<TurnEvent, void>} */
  async function* events(signal) {
    try {
      for await (const event of regenerateTurn(old.id, words === undefined ? {} : { text: words }, signal, key)) {
        if (event.event === "begun") replace(item, view, words === undefined);
        yield event;
      }
    } catch (error) {
      refusal = error;
      throw error;
    }
  }

  await runTurn(view, events);
  underWay.delete(item);
  if (view.id) return;
  view.remove(); // The server has not begun, so the old turn stays.
  item.focus();
  if (!refusal || /** @type {Error} */ (refusal).name === "AbortError") return;
  announceError(refusal);
  if (words !== undefined) edit(item, words);
}

/**
 * Put a turn, and those after it, under the one that was asked in its place.
 * @param {HTMLElement} item
 * @param {TurnView} view
 * @param {boolean} isSameQuestion
 */
function replace(item, view, isSameQuestion) {
  const all = findAll(byId("turns"), ":scope > .turn");
  view.takePlaceOf(all.slice(all.indexOf(item), all.indexOf(view.item)));
  view.item.focus(); // The pressed button is now an earlier version's.
  const seconds = Number(find(item, ".question .clip").dataset.seconds ?? 0);
  if (isSameQuestion && !find(item, ".question .clip").hidden) view.questionSeconds = seconds;
}

/**
 * Let the question of a turn be edited in its place.
 * @param {HTMLElement} item
 * @param {string} [words] those of an attempt that was refused
 */
function edit(item, words = find(item, ".transcript").textContent) {
  const transcript = find(item, ".transcript");
  if (item.querySelector(".edit-form")) return;
  const form = create("form", { className: "edit-form" });
  const field = document.createElement("textarea");
  Object.assign(field, { required: true, maxLength: 2000, value: words, rows: 3 });
  field.setAttribute("aria-label", text("edit-question"));
  const cancel = create("button", { type: "button", className: "button", textContent: text("cancel") });
  const buttons = create("div", { className: "row" });
  buttons.append(create("button", { className: "button button-main", textContent: text("ask") }), cancel);
  form.append(field, buttons);

  function close() {
    form.remove();
    transcript.hidden = false;
    find(item, ".edit", "button").focus();
  }

  cancel.addEventListener("click", close);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.stopPropagation(); // It stops no answer.
      close();
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target === field) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const edited = field.value.trim();
    if (!edited) return;
    close();
    askAgain(item, edited);
  });
  transcript.hidden = true;
  transcript.after(form);
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
}

/** End a turn that an earlier visit to this page began. @param {HTMLElement} item */
function halt(item) {
  interrupt();
  stopTurn(new TurnView(item).id, 0);
}

const actions = { retry: goOn, again: askAgain, edit, halt };

/** Do what a button of a turn says. @param {HTMLElement} button @param {HTMLElement} item its turn */
export function act(button, item) {
  for (const [name, action] of Object.entries(actions)) {
    if (button.classList.contains(name)) action(item);
  }
}
