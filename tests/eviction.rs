//! Every scenario, with an eviction between any two events: nobody notices.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

#[path = "support/chat_completions.rs"]
mod chat_completions;
#[path = "scenarios/chat.rs"]
mod chat_scenarios;
#[path = "scenarios/counter.rs"]
mod counter_scenarios;
#[path = "scenarios/hub.rs"]
mod hub_scenarios;
#[path = "scenarios/presence.rs"]
mod presence_scenarios;
#[path = "scenarios/rest.rs"]
mod rest_scenarios;
#[path = "scenarios/room.rs"]
mod room_scenarios;
#[path = "scenarios/secure.rs"]
mod secure_scenarios;
#[path = "scenarios/session.rs"]
mod session_scenarios;
#[path = "support/tokens.rs"]
mod tokens;
#[path = "scenarios/world.rs"]
mod world_scenarios;

macro_rules! evicted {
    ($($scenario:ident)*) => {$(
        #[test]
        fn $scenario() {
            durable_agents::testing::for_every_eviction(scenarios::$scenario);
        }
    )*};
}

mod chat {
    use crate::chat_scenarios as scenarios;
    scenarios::chat_scenarios!(evicted);
}

mod counter {
    use crate::counter_scenarios as scenarios;
    scenarios::counter_scenarios!(evicted);
}

mod hub {
    use crate::hub_scenarios as scenarios;
    scenarios::hub_scenarios!(evicted);
}

mod presence {
    use crate::presence_scenarios as scenarios;
    scenarios::presence_scenarios!(evicted);
}

mod rest {
    use crate::rest_scenarios as scenarios;
    scenarios::rest_scenarios!(evicted);
}

mod room {
    use crate::room_scenarios as scenarios;
    scenarios::room_scenarios!(evicted);
}

mod secure {
    use crate::secure_scenarios as scenarios;
    scenarios::secure_scenarios!(evicted);
}

mod session {
    use crate::session_scenarios as scenarios;
    scenarios::session_scenarios!(evicted);
}

mod world {
    use crate::world_scenarios as scenarios;
    scenarios::world_scenarios!(evicted);
}
