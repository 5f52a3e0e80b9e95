/** The text box: it grows with its lines; Enter sends, and Shift+Enter begins a new line. */

const HAS_FIELD_SIZING = CSS.supports("field-sizing", "content");

/** @param {KeyboardEvent} event @returns {boolean} whether the key takes a suggestion of an input method */
const isComposing = (event) => event.isComposing || event.keyCode === 229; // Safari sends 229 after the composition.

/** @param {HTMLTextAreaElement} field */
function fit(field) {
  if (HAS_FIELD_SIZING) return; // The style sheet does it.
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}

/**
 * @param {HTMLFormElement} form
 * @param {HTMLTextAreaElement} field
 * @param {(text: string) => boolean} send returns whether it has taken the text
 */
export function watchTextBox(form, field, send) {
  field.addEventListener("input", () => fit(field));
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.altKey || isComposing(event)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text || !send(text)) return;
    field.value = "";
    fit(field);
  });
}
