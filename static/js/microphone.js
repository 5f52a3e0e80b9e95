/** What the pages for recording share: choosing a microphone, seeing the level, and being told what is wrong. */

import { announce, text } from "./page.js";
import { loudness, microphones } from "./recorder.js";

const byId = (id) => document.getElementById(id);

/** @returns {string | undefined} the id of the chosen microphone */
export const chosenMicrophone = () => byId("device").value || undefined;

/** Offer the microphones to choose from; there are names for them only after permission. */
export async function showMicrophones() {
  const devices = await microphones();
  const chosen = byId("device").value;
  byId("device").replaceChildren(...devices.map((device) => new Option(device.label, device.deviceId)));
  if (devices.some((device) => device.deviceId === chosen)) byId("device").value = chosen;
  byId("device-field").hidden = devices.length === 0;
}

/** What keeps the microphone from recording stays beside the button until it works. @param {string} [message] */
export function showMicrophoneProblem(message = "") {
  byId("microphone-problem").hidden = !message;
  byId("microphone-problem-text").textContent = message;
  if (message) announce(message);
}

/** @param {string} word @param {string} verdict */
export function showLevelWord(word, verdict) {
  byId("level-word").textContent = word;
  byId("gauge").dataset.verdict = verdict;
}

/** @param {import("./recorder.js").Level} level */
export function showLevel({ rms, verdict }) {
  showLevelWord(text(`level-${verdict}`), verdict);
  byId("level").style.setProperty("--level", loudness(rms));
}

navigator.mediaDevices?.addEventListener("devicechange", showMicrophones);
showMicrophones();
