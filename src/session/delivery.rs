//! Frames on their way to clients.

use durable_agents::prelude::*;

use super::SessionAgent;
use super::frames::{Frame, Status, numbered};
use super::store::Store;

/// Answers one connection. What is sent so is not kept.
pub(super) fn reply(
    cx: &Context<SessionAgent>,
    connection: &Connection<SessionAgent>,
    frame: Frame<'_>,
    correlation_id: Option<&str>,
) -> Result<()> {
    Ok(connection.send(frame.write(cx.now_ms(), correlation_id)?)?)
}

/// Keeps a frame of a session, and sends it to whoever is there.
pub(super) fn emit(cx: &Context<SessionAgent>, id: &str, frame: Frame<'_>, correlation_id: Option<&str>) -> Result<()> {
    let text = keep(cx, id, frame, correlation_id)?;
    send(cx, id, &text);
    Ok(())
}

/// Changes what a session is doing, and says so.
pub(super) fn set_status(cx: &Context<SessionAgent>, id: &str, status: Status, correlation_id: Option<&str>) -> Result<()> {
    // A frame that cannot be kept changes nothing.
    let text = keep(cx, id, Frame::Status { session_id: id, status }, correlation_id)?;
    Store(cx).set_status(id, status, correlation_id)?;
    send(cx, id, &text);
    Ok(())
}

/// The open sockets of a session: one, or two while the older is being closed.
pub(super) fn sockets(cx: &Context<SessionAgent>, id: &str) -> impl Iterator<Item = Connection<SessionAgent>> {
    // An id is a tag as well, and a client may choose one that is a session's.
    cx.connections_tagged(id).filter(move |connection| {
        connection.state().is_ok_and(|attached| attached.is_some_and(|attached| attached.session_id == id))
    })
}

fn keep(cx: &Context<SessionAgent>, id: &str, frame: Frame<'_>, correlation_id: Option<&str>) -> Result<String> {
    let text = frame.write(cx.now_ms(), correlation_id)?;
    Ok(Store(cx).log(id).append(|seq| numbered(&text, seq))?.frame)
}

fn send(cx: &Context<SessionAgent>, id: &str, text: &str) {
    for connection in sockets(cx, id) {
        // Who has gone finds it when coming back.
        let _ = connection.send(text);
    }
}
