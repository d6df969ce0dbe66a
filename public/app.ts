/** The page: decides between the door and the room, and connects the room to what shows it. */

import { avatar } from "./avatar";
import { ChatView } from "./chat-view";
import { byId, setText } from "./dom";
import { FrameLog } from "./frames";
import { FramesView } from "./frames-view";
import { JoinView } from "./join-view";
import { PeopleView } from "./people-view";
import { addressOf, nameIn, type Place, remember, roomInAddress } from "./place";
import { Room } from "./room";
import { NoticeView, StatusView } from "./status-view";
import { keepTimesFresh } from "./time";
import { followVisualViewport } from "./viewport";

const roomElement = byId("room", HTMLElement);
const roomHeading = byId("room-heading", HTMLElement);
const roomName = byId("room-name", HTMLElement);
const myAvatar = byId("my-avatar", HTMLElement);
const myName = byId("my-name", HTMLElement);

let room: Room | null = null;

const frameLog = new FrameLog();
const framesView = new FramesView(frameLog);
const peopleView = new PeopleView();
const notice = new NoticeView();
const statusView = new StatusView(() => room?.retry());
const chatView = new ChatView({
  send: (text) => room?.send(text),
  refuse: (why) => notice.say(why),
  sendAgain: (key) => room?.sendAgain(key),
  loadEarlier: () => void room?.loadEarlier(),
});
const joinView = new JoinView((place) => {
  remember(place);
  // Joining is a step that "back" undoes; entering the room of the address again is not.
  if (place.room !== roomInAddress()) history.pushState(null, "", addressOf(place.room));
  enter(place);
});

function enter(place: Place): void {
  joinView.hide();
  setText(roomName, place.room);
  setText(myName, place.name);
  myAvatar.replaceChildren(avatar(place.name));
  document.title = `#${place.room} · Durable Agents`;
  roomElement.hidden = false;
  room = new Room(place, frameLog, { changed: render, say: (text) => notice.say(text) });
  render();
  // On a touch screen the field would bring up the keyboard, over the conversation one came to read.
  (matchMedia("(pointer: fine)").matches ? chatView : roomHeading).focus();
}

function leave(): void {
  room?.leave();
  room = null;
  roomElement.hidden = true;
  document.title = "Durable Agents";
  chatView.clear();
  peopleView.clear();
  notice.clear();
}

function render(): void {
  if (room === null) return;
  statusView.render(room);
  peopleView.render(room.people, room.statusOf("presence").phase === "reconnecting");
  chatView.render(room);
}

/** Straight into the room of the address where we have been under a name before; else to the door. */
function followAddress(): void {
  leave();
  framesView.close();
  const wanted = roomInAddress();
  const name = nameIn(wanted);
  if (wanted !== "" && name !== "") enter({ room: wanted, name });
  else joinView.show(wanted);
}

async function copyLink(place: Place): Promise<void> {
  try {
    await navigator.clipboard.writeText(addressOf(place.room));
    notice.say("Link copied");
  } catch {
    // No permission, or a page over plain http from another machine, where there is no clipboard.
    notice.say("Copy the address of this page to share the room");
  }
}

byId("copy-link", HTMLButtonElement).addEventListener("click", () => {
  if (room !== null) void copyLink(room.place);
});
byId("change-place", HTMLButtonElement).addEventListener("click", () => {
  const here = room?.place.room ?? "";
  leave();
  framesView.close();
  joinView.show(here);
});
window.addEventListener("popstate", followAddress);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") room?.ping();
});

keepTimesFresh();
followVisualViewport();
followAddress();
