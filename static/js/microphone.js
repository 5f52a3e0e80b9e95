/** The choice of a microphone, the word for its level, and its problems. */

import { byId } from "./elements.js";

const deviceField = byId("device", "select");

/** @returns {string | undefined} the id of the chosen microphone */
export const chosenMicrophone = () => deviceField.value || undefined;

/** Offer the microphones to choose from. There are none before permission, because browsers then hide their names. */
export async function showMicrophones() {
  const allDevices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  const devices = allDevices.filter((device) => device.kind === "audioinput" && device.label);
  const chosen = deviceField.value;
  deviceField.replaceChildren(...devices.map((device) => new Option(device.label, device.deviceId)));
  if (devices.some((device) => device.deviceId === chosen)) deviceField.value = chosen;
  byId("device-field").hidden = devices.length === 0;
}

/**
 * Show why the microphone does not work.
 * @param {string} [message] without one, the problem is over
 */
export function showMicrophoneProblem(message = "") {
  byId("microphone-problem").hidden = !message;
  byId("microphone-problem-text").textContent = message;
}

/**
 * @param {string} word
 * @param {string} verdict
 */
export function showLevelWord(word, verdict) {
  byId("level-word").textContent = word;
  byId("gauge").dataset.verdict = verdict;
}

navigator.mediaDevices?.addEventListener("devicechange", showMicrophones);
showMicrophones();
