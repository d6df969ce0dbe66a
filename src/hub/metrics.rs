//! What goes on in the hub, in numbers.
//!
//! What one connection says and is told is counted in its attachment, which costs nothing on disk; when it closes, its counts are added
//! to the totals in the database, and so is what goes to many at once.

use std::fmt::Write as _;

use durable_agents::http::{HeaderValue, header};
use durable_agents::prelude::*;
use serde::{Deserialize, Serialize};

use super::{HubAgent, Visitor};

// Written once for each message to several and for each close; one row.
const CREATE_TOTALS: &str = "CREATE TABLE IF NOT EXISTS hub_totals (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    messages_in INTEGER NOT NULL, messages_out INTEGER NOT NULL, dropped INTEGER NOT NULL, rate_limited INTEGER NOT NULL,
    pinged_ms INTEGER NOT NULL
)";

/// Messages that went over sockets, counted since the hub exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Traffic {
    /// Messages of clients, those that were refused included.
    pub messages_in: u64,
    /// Frames sent to clients.
    pub messages_out: u64,
    /// Messages of clients that were refused, by a limit or as invalid.
    pub dropped: u64,
    /// Those of them that were refused because there were too many, or too many bytes.
    pub rate_limited: u64,
}

/// The answer to `GET …/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    clients: u64,
    authenticated_clients: u64,
    users: u64,
    #[serde(flatten)]
    traffic: Traffic,
}

impl Traffic {
    fn plus(self, other: &Self) -> Self {
        Self {
            messages_in: self.messages_in.saturating_add(other.messages_in),
            messages_out: self.messages_out.saturating_add(other.messages_out),
            dropped: self.dropped.saturating_add(other.dropped),
            rate_limited: self.rate_limited.saturating_add(other.rate_limited),
        }
    }
}

impl Metrics {
    /// Prometheus' text format, version 0.0.4.
    fn to_text(self) -> String {
        let Traffic { messages_in, messages_out, dropped, rate_limited } = self.traffic;
        let mut text = String::new();
        for (name, kind, help, value) in [
            ("clients", "gauge", "Open connections.", self.clients),
            ("authenticated_clients", "gauge", "Open connections of signed-in users.", self.authenticated_clients),
            ("users", "gauge", "Users who are present.", self.users),
            ("messages_in", "counter", "Messages of clients.", messages_in),
            ("messages_out", "counter", "Frames sent to clients.", messages_out),
            ("dropped", "counter", "Messages of clients that were refused.", dropped),
            ("rate_limited", "counter", "Messages of clients that were refused by a bucket.", rate_limited),
        ] {
            // Writing to a `String` cannot fail.
            let _ =
                write!(text, "# HELP agents_hub_{name} {help}\n# TYPE agents_hub_{name} {kind}\nagents_hub_{name} {value}\n");
        }
        text
    }
}

impl HubAgent {
    pub(super) fn create_totals(cx: &Context<Self>) -> Result<()> {
        cx.sql(CREATE_TOTALS, ()).execute()?;
        cx.sql("INSERT OR IGNORE INTO hub_totals VALUES (0, 0, 0, 0, 0, 0)", ()).execute()?;
        Ok(())
    }

    pub(super) fn add_to_totals(cx: &Context<Self>, more: &Traffic) -> Result<()> {
        let add = "UPDATE hub_totals SET messages_in = messages_in + ?, messages_out = messages_out + ?,
            dropped = dropped + ?, rate_limited = rate_limited + ?";
        cx.sql(add, (more.messages_in, more.messages_out, more.dropped, more.rate_limited)).execute()?;
        Ok(())
    }

    pub(super) fn last_ping_ms(cx: &Context<Self>) -> Result<u64> {
        Ok(cx.sql("SELECT pinged_ms FROM hub_totals", ()).one()?)
    }

    pub(super) fn note_ping(cx: &Context<Self>, at_ms: u64) -> Result<()> {
        cx.sql("UPDATE hub_totals SET pinged_ms = ?", (at_ms,)).execute()?;
        Ok(())
    }

    /// Counts what one connection says or is told.
    pub(super) fn count(&self, connection: &Connection<Self>, more: &Traffic) {
        // One that closes at this moment takes its last message with it.
        let _ = connection.update_state(|visitor| {
            let mut visitor = visitor.unwrap_or_default();
            visitor.traffic = visitor.traffic.plus(more);
            visitor
        });
    }

    /// Adds a connection's counts to the totals, once: one that is shown out closes some time later.
    pub(super) fn close_account(cx: &Context<Self>, connection: &Connection<Self>) -> Result<()> {
        let Some(visitor) = connection.state()? else { return Ok(()) };
        Self::add_to_totals(cx, &visitor.traffic)?;
        // One that has closed is not asked again.
        let _ = connection.set_state(Visitor { traffic: Traffic::default(), ..Visitor::clone(&visitor) });
        Ok(())
    }

    /// The metrics, in the format that the request asks for.
    pub(super) fn metrics(cx: &Context<Self>, request: &Request) -> Result<Response> {
        let totals = "SELECT messages_in, messages_out, dropped, rate_limited FROM hub_totals";
        let (messages_in, messages_out, dropped, rate_limited) = cx.sql(totals, ()).one()?;
        let traffic = Traffic { messages_in, messages_out, dropped, rate_limited };
        let users = cx.roster()?.len() as u64;
        let mut metrics = Metrics { clients: 0, authenticated_clients: 0, users, traffic };
        for connection in cx.connections() {
            let Ok(Some(visitor)) = connection.state() else { continue };
            metrics.clients += 1;
            metrics.authenticated_clients += u64::from(visitor.is_signed_in());
            metrics.traffic = metrics.traffic.plus(&visitor.traffic);
        }
        if !wants_text(request.header("accept").as_deref().unwrap_or_default()) {
            return Ok(Response::json(&metrics)?);
        }
        let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        Ok(Response::text(metrics.to_text()).with_header(header::CONTENT_TYPE, content_type))
    }
}

/// Whether an `Accept` header prefers plain text to JSON. Of two that it likes as much, it is the one that it names more exactly, or
/// else JSON, as many clients take anything.
fn wants_text(accept: &str) -> bool {
    let [text, json] = ["text/plain", "application/json"].map(|kind| liking(accept, kind));
    let (text_quality, json_quality) = (text.map_or(0, |(_, quality)| quality), json.map_or(0, |(_, quality)| quality));
    text_quality > json_quality || (text_quality == json_quality && text_quality > 0 && text > json)
}

/// How exactly an `Accept` header names `kind`, and its quality in thousandths. `None`: not at all.
fn liking(accept: &str, kind: &str) -> Option<(u8, u32)> {
    let of_range = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let (group, name) = parts.next()?.split_once('/')?;
        let (kind_group, kind_name) = kind.split_once('/')?;
        let exactness = match (group, name) {
            ("*", "*") => 0,
            (group, "*") if group.eq_ignore_ascii_case(kind_group) => 1,
            (group, name) if group.eq_ignore_ascii_case(kind_group) && name.eq_ignore_ascii_case(kind_name) => 2,
            _ => return None,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some((exactness, quality.map_or(1_000, thousandths)))
    };
    accept.split(',').filter_map(of_range).max()
}

/// A quality in thousandths. One that is no number is 1, as if it were not there.
fn thousandths(quality: &str) -> u32 {
    let (whole, fraction) = quality.split_once('.').unwrap_or((quality, ""));
    format!("{whole}{fraction:0<3.3}").parse().map_or(1_000, |quality: u32| quality.min(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_gets_each_number_with_its_kind() {
        let traffic = Traffic { messages_in: 4, messages_out: 5, dropped: 6, rate_limited: 7 };
        let text = Metrics { clients: 1, authenticated_clients: 2, users: 3, traffic }.to_text();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "agents_hub_clients 1",
                "agents_hub_authenticated_clients 2",
                "agents_hub_users 3",
                "agents_hub_messages_in 4",
                "agents_hub_messages_out 5",
                "agents_hub_dropped 6",
                "agents_hub_rate_limited 7",
            ]
        );
        assert!(text.starts_with("# HELP agents_hub_clients Open connections.\n# TYPE agents_hub_clients gauge\n"), "{text}");
        assert!(text.contains("# TYPE agents_hub_messages_in counter\n") && text.ends_with('\n'), "{text}");
    }

    #[test]
    fn text_is_for_those_who_ask_for_it() {
        for (accept, expected) in [
            ("", false),
            ("*/*", false),
            ("application/json", false),
            ("application/json, text/plain, */*", false),
            ("text/html", false),
            ("text/html, */*;q=0.8", false),
            ("text/plain", true),
            ("text/*", true),
            ("text/plain, */*", true),
            ("Text/Plain;version=0.0.4", true),
            ("text/plain, application/json", false),
            ("text/plain;q=0.5, application/json;q=0.5", false),
            ("text/plain;q=0.5, application/json", false),
            ("text/plain;q=0.5, */*", false),
            ("text/plain, application/json;q=0.9", true),
            ("application/json; Q=0.5 , text/plain ; version=0.0.4 ; q=0.55", true),
            ("text/plain;q=0.001, application/json;q=0", true),
            ("application/json;q=0, */*;q=0.1", true),
            ("text/plain;q=0", false),
            ("text/plain;q=0, */*", false),
            ("text/plain;q=0.0,application/json;q=0.000", false),
            ("text/*;q=0.5, application/*", false),
            ("text/plain;version=1.0.0;q=0.2, text/plain;version=0.0.4;q=0.8, application/json;q=0.7", true),
            ("text/plain;q=much, application/json;q=0.9", true),
            ("text/plain;q=7, application/json;q=1.0", false),
            ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", true),
        ] {
            assert_eq!(wants_text(accept), expected, "{accept}");
        }
    }
}
