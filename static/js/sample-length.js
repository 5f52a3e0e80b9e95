/** How long a voice's sample has to be, and a verdict on the length of its takes. */

import { byId } from "./elements.js";
import { clock, text } from "./page.js";

const { dataset } = byId("clone-form");

/** Seconds. */
export const rules = {
  minimum: Number(dataset.minSeconds),
  recommended: Number(dataset.recommendedMinSeconds),
  recommendedMost: Number(dataset.recommendedMaxSeconds),
  maximum: Number(dataset.maxSeconds),
};

/**
 * @param {import("./take-list.js").TakeList} takes
 * @returns {{key: string, message: string, verdict: "" | "good" | "weak" | "refused"}}
 */
export function lengthVerdict({ takes, seconds }) {
  const [key, verdict] = judge(takes.length, seconds);
  const durations = Object.entries({ ...rules, total: seconds }).map(([name, value]) => [name, clock(value)]);
  return { key, message: text(key, Object.fromEntries(durations)), verdict };
}

/**
 * @param {number} count of takes
 * @param {number} total seconds
 * @returns {[key: string, verdict: "" | "good" | "weak" | "refused"]} the key of a text
 */
function judge(count, total) {
  if (!count) return ["total-none", ""];
  if (total > rules.maximum + 1) return ["total-long", "refused"]; // The server also allows one second more.
  if (total < rules.minimum) return ["total-short", "refused"];
  if (total < rules.recommended) return ["total-more", "weak"];
  return total > rules.recommendedMost + 1 ? ["total-much", "weak"] : ["total-good", "good"];
}
