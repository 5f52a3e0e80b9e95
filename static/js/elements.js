/** Elements of the page. One that is missing, or not of the expected tag, fails where it is looked up. */

/**
 * @typedef {HTMLElementTagNameMap} HTMLTags
 * @typedef {HTMLTags & Omit<SVGElementTagNameMap, keyof HTMLTags> & {"*": HTMLElement}} Tags "*" is any HTML element
 */

/**
 * @template {keyof Tags} Tag
 * @param {Element | null} element
 * @param {Tag} tag
 * @param {string} selector
 * @returns {Tags[Tag]}
 */
function required(element, tag, selector) {
  if (!element?.matches(tag)) throw new TypeError(`${selector} is not an element ${tag}`);
  return /** @type {any} */ (element);
}

/**
 * Return the element with this id.
 * @template {keyof Tags} [Tag="*"]
 * @param {string} id
 * @param {Tag} [tag]
 */
export const byId = (id, tag = /** @type {any} */ ("*")) => required(document.getElementById(id), tag, id);

/**
 * Return the first element inside `root` that matches. `tag` is unnecessary if the selector is a tag itself.
 * @template {string} Selector
 * @template {keyof Tags} [Tag=Selector extends keyof Tags ? Selector : "*"]
 * @param {ParentNode} root
 * @param {Selector} selector
 * @param {Tag} [tag]
 */
export function find(root, selector, tag = /** @type {any} */ ("*")) {
  return required(root.querySelector(selector), tag, selector);
}

/**
 * Return all elements inside `root` that match.
 * @param {ParentNode} root
 * @param {string} selector
 * @returns {HTMLElement[]}
 */
export const findAll = (root, selector) => /** @type {any} */ ([...root.querySelectorAll(selector)]);

/**
 * Return the element that matches and contains `start`, or is `start` itself.
 * @param {Element} start
 * @param {string} selector
 */
export const around = (start, selector) => required(start.closest(selector), "*", selector);

/**
 * Return the element that matches at the target of a delegated event, if there is one.
 * @param {Event} event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export const atTarget = ({ target }, selector) => /** @type {any} */ (target).closest?.(selector);

/**
 * Return a new element.
 * @template {keyof HTMLTags} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLTags[Tag]>} properties
 */
export const create = (tag, properties) => Object.assign(document.createElement(tag), properties);
