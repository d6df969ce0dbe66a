/** The few things this page needs on top of the DOM. */

/** The element with this id, checked: a page and a script that do not fit fail at once and by name. */
export function byId<E extends HTMLElement>(id: string, kind: { new (): E; readonly name: string }): E {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`the page has no ${kind.name} with id "${id}"`);
}

/** A new element. Strings become text nodes, never markup, so user data is safe here. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const created = document.createElement(tag);
  created.className = className;
  created.append(...children);
  return created;
}

/**
 * Makes `wanted` the children of `parent`, touching only what differs: nodes that stay keep their scroll position,
 * focus and running animations, and a live region announces only what is new.
 *
 * `retire` decides when a child that is no longer wanted goes.
 */
export function setChildren(
  parent: Element,
  wanted: readonly Element[],
  retire: (child: Element) => void = (child) => child.remove(),
): void {
  const keep = new Set(wanted);
  for (const child of [...parent.children]) {
    if (!keep.has(child)) retire(child);
  }
  let next = parent.firstElementChild;
  for (const node of wanted) {
    while (next !== null && !keep.has(next)) next = next.nextElementSibling;
    if (next === node) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
  }
}

/** Sets the text only if it differs, so that live regions stay quiet. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}
