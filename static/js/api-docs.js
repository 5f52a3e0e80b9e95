/** The API's documentation, shown by Swagger UI, whose file is loaded before this module runs. */

import { byId } from "./elements.js";

const container = byId("api-docs");
const { dataset } = document.documentElement;
const darkScheme = matchMedia("(prefers-color-scheme: dark)");
/** @type {HTMLMetaElement | null} */
const csrfToken = document.querySelector("meta[name=csrf-token]");

function followColorScheme() {
  const isDark = dataset.theme ? dataset.theme === "dark" : darkScheme.matches;
  document.documentElement.classList.toggle("dark-mode", isDark);
}

new MutationObserver(followColorScheme).observe(document.documentElement, { attributeFilter: ["data-theme"] });
darkScheme.addEventListener("change", followColorScheme);
followColorScheme();

/** @type {any} */ (window).SwaggerUIBundle({
  domNode: container,
  url: container.dataset.schema,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  validatorUrl: null,
  syntaxHighlight: false, // It writes styles into the page, which the content security policy forbids.
  /** @param {{url: string, headers: Record<string, string>}} request */
  requestInterceptor(request) {
    // Someone who is signed in can try requests without a token.
    if (csrfToken && new URL(request.url, location.href).origin === location.origin) {
      request.headers["X-CSRFToken"] = csrfToken.content;
    }
    return request;
  },
});
