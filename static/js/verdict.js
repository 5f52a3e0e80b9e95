/** The verdict on all takes together: a word, and what to do. */

import { byId } from "./elements.js";
import { text } from "./page.js";
import { lengthVerdict } from "./sample-length.js";

/**
 * @typedef {import("./take-list.js").TakeList} TakeList
 * @typedef {{tone: "checking" | "unchecked" | "refused" | "weak" | "good", word: string, note: string}} Verdict
 */

/** @param {TakeList} list */
export function showVerdict(list) {
  const { tone, word, note } = verdictOn(list);
  byId("verdict").dataset.verdict = tone;
  byId("verdict-word").textContent = word;
  byId("verdict-note").textContent = note;
  byId("total").textContent = lengthVerdict(list).message;
  byId("clone").classList.toggle("button-main", tone !== "refused");
  byId("record-more").classList.toggle("button-main", tone === "refused");
}

/**
 * @param {TakeList} list
 * @returns {Verdict}
 */
function verdictOn(list) {
  const { takes } = list;
  const refusal = takes.find((take) => take.refusal)?.refusal;
  if (refusal) return verdict("refused", "verdict-refused", refusal);
  const message = takes.find((take) => take.problem)?.problem;
  if (message) return verdict("unchecked", "verdict-unchecked", text("take-unchecked", { message }));
  if (takes.some((take) => !take.points)) return verdict("checking", "take-checking", "");
  const length = lengthVerdict(list);
  if (length.verdict === "refused") {
    const key = length.key === "total-long" ? "verdict-long" : "verdict-short";
    return verdict("refused", key, text(`${key}-note`));
  }
  const failed = takes.flatMap((take) => take.points ?? []).find((point) => !point.passed);
  if (failed) return { tone: "weak", word: failed.word, note: `${failed.advice} ${text("verdict-usable")}` };
  return verdict("good", "verdict-good", text("verdict-good-note"));
}

/**
 * @param {Verdict["tone"]} tone
 * @param {string} key of the text of the word
 * @param {string} note
 * @returns {Verdict}
 */
const verdict = (tone, key, note) => ({ tone, word: text(key), note });
