/** The choice of a microphone, which this browser remembers. */

import { byId } from "./elements.js";

const deviceField = byId("device", "select");

/** @returns {string | undefined} the id of the chosen microphone */
export const chosenMicrophone = () => deviceField.value || undefined;

/** Offer the microphones to choose from. There are none before permission, because browsers then hide their names. */
export async function showMicrophones() {
  const allDevices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  const devices = allDevices.filter((device) => device.kind === "audioinput" && device.label);
  const chosen = deviceField.value || localStorage.getItem("microphone");
  deviceField.replaceChildren(...devices.map((device) => new Option(device.label, device.deviceId)));
  if (devices.some((device) => device.deviceId === chosen)) deviceField.value = String(chosen);
  byId("device-field").hidden = devices.length === 0;
}

/** @param {() => void} onChange called when another microphone is chosen */
export function watchMicrophoneChoice(onChange) {
  deviceField.addEventListener("change", onChange);
}

deviceField.addEventListener("change", () => localStorage.setItem("microphone", deviceField.value));
navigator.mediaDevices?.addEventListener("devicechange", showMicrophones);
showMicrophones();
