/** The door: asks for a name and a room. */

import { byId, setText } from "./dom";
import { DEFAULT_ROOM, lastName, nameFrom, nameIn, type Place, roomFrom } from "./place";

export class JoinView {
  #root = byId("join", HTMLElement);
  #form = byId("join-form", HTMLFormElement);
  #name = byId("join-name", HTMLInputElement);
  #nameError = byId("join-name-error", HTMLElement);
  #room = byId("join-room", HTMLInputElement);
  #roomError = byId("join-room-error", HTMLElement);

  constructor(onJoin: (place: Place) => void) {
    // Our own words, beside the field; the browser's bubbles vanish and are not read by every screen reader.
    this.#form.noValidate = true;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const place = { name: nameFrom(this.#name.value), room: roomFrom(this.#room.value) };
      if (this.#check(place)) onJoin(place);
    });
    for (const [input, error] of [
      [this.#name, this.#nameError],
      [this.#room, this.#roomError],
    ] as const) {
      input.addEventListener("input", () => complain(input, error, ""));
    }
  }

  show(room: string): void {
    this.#room.value = room || DEFAULT_ROOM;
    this.#name.value = nameIn(this.#room.value) || lastName();
    complain(this.#name, this.#nameError, "");
    complain(this.#room, this.#roomError, "");
    this.#root.hidden = false;
    (this.#name.value === "" ? this.#name : this.#room).focus();
  }

  hide(): void {
    this.#root.hidden = true;
  }

  #check({ name, room }: Place): boolean {
    complain(this.#room, this.#roomError, room === "" ? "A room needs at least one letter or digit." : "");
    complain(this.#name, this.#nameError, name === "" ? "The others would like to know what to call you." : "");
    if (name === "") this.#name.focus();
    else if (room === "") this.#room.focus();
    return name !== "" && room !== "";
  }
}

function complain(input: HTMLInputElement, error: HTMLElement, text: string): void {
  input.ariaInvalid = String(text !== "");
  setText(error, text);
}
