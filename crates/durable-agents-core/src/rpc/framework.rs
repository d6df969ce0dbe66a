//! Names that a client of the reference might try: what every agent has there, and nobody may call.

/// Members of the reference's agent class, as spelled there, in order.
const MEMBERS: [&str; 55] = [
    "abortSubAgent",
    "addMcpServer",
    "alarm",
    "broadcast",
    "cancelSchedule",
    "deleteSubAgent",
    "dequeue",
    "dequeueAll",
    "dequeueAllByCallback",
    "destroy",
    "fetch",
    "getCallableMethods",
    "getConnection",
    "getConnectionTags",
    "getConnections",
    "getMcpServers",
    "getQueue",
    "getQueues",
    "getSchedule",
    "getScheduleById",
    "getSchedules",
    "isConnectionProtocolEnabled",
    "isConnectionReadonly",
    "keepAlive",
    "keepAliveWhile",
    "listSchedules",
    "onAlarm",
    "onClose",
    "onConnect",
    "onEmail",
    "onError",
    "onException",
    "onMessage",
    "onRequest",
    "onStart",
    "onStateChanged",
    "onStateUpdate",
    "queue",
    "removeMcpServer",
    "replyToEmail",
    "retry",
    "schedule",
    "scheduleEvery",
    "sendEmail",
    "setConnectionReadonly",
    "setName",
    "setState",
    "shouldConnectionBeReadonly",
    "shouldSendProtocolMessages",
    "sql",
    "subAgent",
    "validateStateChange",
    "webSocketClose",
    "webSocketError",
    "webSocketMessage",
];

/// Whether every agent has a member of that name.
pub(crate) fn is_member(name: &str) -> bool {
    MEMBERS.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_order() {
        assert!(MEMBERS.is_sorted());
        assert!(is_member("setState") && !is_member("set_state"));
    }
}
