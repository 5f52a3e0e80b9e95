// The description of the API, drawn by Swagger UI: its file is loaded before this module runs.

const place = document.querySelector("#api-docs");
const dark = matchMedia("(prefers-color-scheme: dark)");
const csrfToken = document.querySelector("meta[name=csrf-token]")?.content;

function followColorScheme() {
  document.documentElement.classList.toggle("dark-mode", dark.matches);
}

dark.addEventListener("change", followColorScheme);
followColorScheme();

window.SwaggerUIBundle({
  domNode: place,
  url: place.dataset.schema,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  validatorUrl: null,
  syntaxHighlight: false, // It writes styles into the page, which the content security policy forbids.
  requestInterceptor(request) {
    // Who is signed in here can try things out without a token.
    if (csrfToken && new URL(request.url, location).origin === location.origin) {
      request.headers["X-CSRFToken"] = csrfToken;
    }
    return request;
  },
});
