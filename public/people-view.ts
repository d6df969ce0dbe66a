/** The list of who is here; on a narrow screen the style sheet makes it a strip of avatars. */

import { avatar } from "./avatar";
import { byId, element, setChildren, setText } from "./dom";
import type { Person } from "./people";
import { timeElement } from "./time";

export class PeopleView {
  #list = byId("people-list", HTMLUListElement);
  #title = byId("people-title-text", HTMLElement);
  #count = byId("people-count", HTMLElement);
  #items = new Map<string, { readonly node: HTMLElement; readonly details: HTMLElement; shown: string }>();

  /** `stale`: the server cannot be heard, so this is who was here. */
  render(people: readonly Person[], stale: boolean): void {
    setText(this.#title, stale && people.length > 0 ? "Here before" : "Here now");
    setText(this.#count, people.length > 0 ? String(people.length) : "");
    const nodes = people.map((person) => this.#item(person));
    const names = new Set(people.map(({ name }) => name));
    for (const name of this.#items.keys()) {
      if (!names.has(name)) this.#items.delete(name);
    }
    setChildren(this.#list, nodes, fadeOut);
  }

  /** Empties the list at once, for another room. */
  clear(): void {
    this.#items.clear();
    this.#list.replaceChildren();
    setText(this.#count, "");
  }

  #item(person: Person): HTMLElement {
    let item = this.#items.get(person.name);
    if (item === undefined) {
      const details = element("span", "person-details");
      const name = element("span", "person-name", person.name, ...(person.isMe ? [" ", element("span", "you", "you")] : []));
      const node = element("li", "person", avatar(person.name), element("span", "person-text", name, details));
      node.title = person.name;
      item = { node, details, shown: "" };
      this.#items.set(person.name, item);
    }
    const shown = `${person.joinedAt} ${person.connections}`;
    if (item.shown !== shown) {
      item.details.replaceChildren(...detailsOf(person));
      item.shown = shown;
    }
    return item.node;
  }
}

function detailsOf({ joinedAt, connections }: Person): (Node | string)[] {
  if (joinedAt === null) return ["in the chat"];
  return ["joined ", timeElement(joinedAt), ...(connections > 1 ? [` · ${connections} windows`] : [])];
}

function fadeOut(node: Element): void {
  if (node.classList.contains("leaving")) return;
  node.classList.add("leaving");
  // With reduced motion there is no animation to wait for, and the node goes at once.
  const ended = node.getAnimations().map((animation) => animation.finished);
  void Promise.allSettled(ended).then(() => node.remove());
}
