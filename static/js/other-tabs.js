/** Tells the other tabs of this browser about new turns, and hears about theirs. */

import { byId } from "./elements.js";

const channel = "BroadcastChannel" in window ? new BroadcastChannel("conversations") : null;

/** A turn of this page's conversation has ended. */
export const tellOtherTabs = () => channel?.postMessage(byId("talk").dataset.conversation);

/** @param {() => void} onNews called when another tab has a new turn of this page's conversation */
export function watchOtherTabs(onNews) {
  channel?.addEventListener("message", ({ data }) => {
    if (data && data === byId("talk").dataset.conversation) onNews();
  });
}
