/** Stored recordings with the browser's own controls, which do not say why one of them does not play. */

import { refusalOf } from "./api.js";
import { announceError } from "./page.js";

document.addEventListener(
  "error",
  async ({ target }) => {
    const refused = target instanceof HTMLAudioElement && (await refusalOf(target.src));
    if (refused) announceError(refused);
  },
  true, // This event does not bubble.
);
