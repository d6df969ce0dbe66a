//! The framework's own tables: which there are, and how older ones become what they are now.
//!
//! An object that never schedules or queues anything has none of them. Those of the JavaScript SDK are taken over as they are.

use std::cell::Cell;

use super::cells::Cells;
use super::lazy;
use crate::host::{HostError, Rows, Store};

/// One table.
pub(crate) struct Table {
    bit: u16,
    name: &'static str,
    create: &'static str,
    /// Columns that tables of earlier versions lack, with their declarations. Append only.
    added: &'static [(&'static str, &'static str)],
}

// Written by `schedule`, `cancel_schedule` and every run, also before one that the object may not survive; a row for each schedule,
// 2 MB each at most.
pub(crate) const SCHEDULES: Table = Table {
    bit: 1,
    name: "cf_agents_schedules",
    create: "CREATE TABLE IF NOT EXISTS cf_agents_schedules (id TEXT PRIMARY KEY NOT NULL, callback TEXT, payload TEXT, \
             type TEXT NOT NULL, time INTEGER, delayInSeconds INTEGER, cron TEXT, intervalSeconds INTEGER, \
             running INTEGER DEFAULT 0, created_at INTEGER DEFAULT (unixepoch()), execution_started_at INTEGER, \
             retry_options TEXT, owner_path TEXT, owner_path_key TEXT, setbacks INTEGER DEFAULT 0, \
             strikes INTEGER DEFAULT 0)",
    added: &[
        ("intervalSeconds", "INTEGER"),
        ("running", "INTEGER DEFAULT 0"),
        ("execution_started_at", "INTEGER"),
        ("retry_options", "TEXT"),
        ("owner_path", "TEXT"),
        ("owner_path_key", "TEXT"),
        ("setbacks", "INTEGER DEFAULT 0"),
        ("strikes", "INTEGER DEFAULT 0"),
    ],
};

// Written by `queue`, `dequeue` and every run, also before one that the object may not survive; a row for each item that waits, 2 MB
// each at most.
pub(crate) const QUEUES: Table = Table {
    bit: 1 << 1,
    name: "cf_agents_queues",
    create: "CREATE TABLE IF NOT EXISTS cf_agents_queues (id TEXT PRIMARY KEY NOT NULL, payload TEXT, callback TEXT, \
             created_at INTEGER DEFAULT (unixepoch()), retry_options TEXT, setbacks INTEGER DEFAULT 0, \
             strikes INTEGER DEFAULT 0, retry_at_ms INTEGER)",
    added: &[
        ("retry_options", "TEXT"),
        ("setbacks", "INTEGER DEFAULT 0"),
        ("strikes", "INTEGER DEFAULT 0"),
        ("retry_at_ms", "INTEGER"),
    ],
};

// Written when a run is given up; bounded, see `dead_letter::MAX_DEAD_LETTERS`.
pub(crate) const DEAD_LETTERS: Table = Table {
    bit: 1 << 2,
    name: "cf_agents_dead_letters",
    create: "CREATE TABLE IF NOT EXISTS cf_agents_dead_letters (id TEXT PRIMARY KEY NOT NULL, origin TEXT NOT NULL, \
             callback TEXT NOT NULL, payload TEXT, retry_options TEXT, error TEXT NOT NULL, attempts INTEGER NOT NULL, \
             failed_at_ms INTEGER NOT NULL)",
    added: &[],
};

// One row; there from the first alarm that ran out of memory to the next that did not.
pub(crate) const STRIKES: Table = Table {
    bit: 1 << 3,
    name: "cf_agents_alarm_strikes",
    create: "CREATE TABLE IF NOT EXISTS cf_agents_alarm_strikes (strikes INTEGER NOT NULL)",
    added: &[],
};

// Never has a row: that it is there says that the object is being destroyed.
pub(crate) const DESTROYING: Table = Table {
    bit: 1 << 4,
    name: "cf_agents_destroying",
    create: "CREATE TABLE IF NOT EXISTS cf_agents_destroying (since INTEGER)",
    added: &[],
};

// Written by the state setter only; two rows at most, 2 MB each at most.
pub(crate) const STATE: Table = Table {
    bit: 1 << 5,
    name: "cf_agents_state",
    create: "CREATE TABLE IF NOT EXISTS cf_agents_state (id TEXT PRIMARY KEY NOT NULL, state TEXT)",
    added: &[],
};

/// Stands for no table: that the agent's own SQL may have made or dropped some since memory looked.
const FOREIGN: u16 = 1 << 6;

/// Stands for no table: that memory has looked.
const LOOKED: u16 = 1 << 7;

/// Stands for `cf_agents_jobs`, in which newer SDKs keep schedules and the queue, and which is none of ours.
const SDK_JOBS: u16 = 1 << 8;

const ALL: [&Table; 6] = [&SCHEDULES, &QUEUES, &DEAD_LETTERS, &STRIKES, &DESTROYING, &STATE];

/// What memory knows of the tables.
#[derive(Debug, Default)]
pub(crate) struct Tables(Cell<u16>);

impl Tables {
    /// Asks the database once for all of them, and brings older ones up to date.
    pub(crate) fn look(&self, store: &dyn Store) -> Result<(), HostError> {
        let found = store.run("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name GLOB 'cf_agents_*'", &[])?;
        let known = if found.rows.is_empty() { 0 } else { update_all(store, found)? };
        self.0.set(LOOKED | known);
        Ok(())
    }

    /// The same at the beginning of a wake, if nobody has yet.
    pub(crate) fn look_once(&self, store: &dyn Store) -> Result<(), HostError> {
        if self.0.get() & LOOKED == 0 { self.look(store) } else { Ok(()) }
    }

    /// Whether there is that table, as far as memory knows.
    pub(crate) fn has(&self, table: &Table) -> bool {
        self.0.get() & table.bit != 0
    }

    /// Whether there is a table of jobs that earlier wakes may have left, as far as memory knows.
    pub(crate) fn has_jobs(&self) -> bool {
        self.has(&SCHEDULES) || self.has(&QUEUES)
    }

    /// Whether there is a table of jobs that only the JavaScript SDK runs, as far as memory knows.
    pub(crate) fn has_sdk_jobs(&self) -> bool {
        self.0.get() & SDK_JOBS != 0
    }

    /// The same as [`has`](Self::has), but looks again before it says no if the agent's own SQL may have made it.
    pub(crate) fn find(&self, store: &dyn Store, table: &Table) -> Result<bool, HostError> {
        if !self.has(table) && self.0.get() & (LOOKED | FOREIGN) != LOOKED {
            self.look(store)?;
        }
        Ok(self.has(table))
    }

    /// Notes that the agent runs SQL of its own.
    pub(crate) fn doubt(&self) {
        self.0.set(self.0.get() | FOREIGN);
    }

    /// Makes the table if there is none.
    pub(crate) fn ensure(&self, store: &dyn Store, table: &Table) -> Result<(), HostError> {
        if !self.find(store, table)? {
            store.write(table.create, &[])?;
            self.0.set(self.0.get() | table.bit);
        }
        Ok(())
    }

    /// Runs what writes into the table, and makes that if there is none.
    pub(crate) fn write(
        &self,
        store: &dyn Store,
        table: &Table,
        write: impl Fn() -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        self.ensure(store, table)?;
        // The agent's own SQL may have dropped it.
        lazy::write_with(store, table.create, write)
    }

    /// Takes the table away if there is one.
    pub(crate) fn drop(&self, store: &dyn Store, table: &Table) -> Result<(), HostError> {
        if self.has(table) {
            store.run(&format!("DROP TABLE IF EXISTS {}", table.name), &[])?;
            self.0.set(self.0.get() & !table.bit);
        }
        Ok(())
    }

    /// After everything was deleted.
    pub(crate) fn forget(&self) {
        self.0.set(LOOKED);
    }
}

/// Brings the tables that were found up to date: the bits of those that are ours.
// Not a part of what every start runs through, which has to be compiled before the first answer.
#[inline(never)]
fn update_all(store: &dyn Store, found: Rows) -> Result<u16, HostError> {
    let mut bits = 0;
    let (mut has_old, mut has_new, mut is_outdated) = (false, false, false);
    for row in found.rows {
        let mut cells = Cells::new(row);
        let (name, sql) = (cells.text().unwrap_or_default(), cells.text().unwrap_or_default());
        let table = match name.as_str() {
            "cf_agents_schedules_old" => {
                has_old = true;
                &SCHEDULES
            }
            "cf_agents_schedules_new" => {
                has_new = true;
                &SCHEDULES
            }
            "cf_agents_jobs" => {
                bits |= SDK_JOBS;
                continue;
            }
            _ => match ALL.iter().find(|table| table.name == name) {
                Some(table) => {
                    bits |= table.bit;
                    table
                }
                None => continue,
            },
        };
        if table.bit == SCHEDULES.bit && name == table.name {
            // The first version checked the type of a row, and knew no intervals.
            is_outdated = has_word(&sql, "CHECK") && !has_word(&sql, "interval");
            if !has_word(&sql, "strikes") {
                // Older SDKs kept objects alive by an interval. Before the columns are added, which say that this has been done.
                store.run("DELETE FROM cf_agents_schedules WHERE callback = '_cf_keepAliveHeartbeat'", &[])?;
            }
        }
        table.add_columns(store, &name, &sql)?;
    }
    for (is_there, put_aside) in [
        (has_old, None),
        // So the SDK calls the one that is to take the place of an outdated one.
        (has_new, Some("ALTER TABLE cf_agents_schedules_new RENAME TO cf_agents_schedules_old")),
        (is_outdated, Some("ALTER TABLE cf_agents_schedules RENAME TO cf_agents_schedules_old")),
    ] {
        if is_there {
            for statement in put_aside.iter().chain(&TAKE_UP) {
                store.run(statement, &[])?;
            }
            bits |= SCHEDULES.bit;
        }
    }
    Ok(bits)
}

/// Moves the rows of a schedules table that was put aside into the one in use, which is made if there is none: SQLite cannot change what
/// a table checks. Whichever of the statements is the last that succeeds, no row is lost, as the next look goes on with it.
///
/// If any of the rows is there already, all of them have been, and those that are not there any more have run. What recurs may have been
/// scheduled once more in the meantime.
const TAKE_UP: [&str; 3] = [
    SCHEDULES.create,
    "INSERT INTO cf_agents_schedules (id, callback, payload, type, time, delayInSeconds, cron, intervalSeconds, running, created_at, \
     execution_started_at, retry_options, owner_path, owner_path_key) SELECT id, callback, payload, type, time, delayInSeconds, cron, \
     intervalSeconds, running, created_at, execution_started_at, retry_options, owner_path, owner_path_key \
     FROM cf_agents_schedules_old AS old WHERE callback IS NOT '_cf_keepAliveHeartbeat' \
     AND NOT EXISTS (SELECT 1 FROM cf_agents_schedules_old JOIN cf_agents_schedules USING (id)) \
     AND NOT EXISTS (SELECT 1 FROM cf_agents_schedules AS new WHERE old.type IN ('cron', 'interval') AND \
     (new.type, new.callback, new.cron, new.intervalSeconds, COALESCE(new.payload, 'null'), new.owner_path) IS \
     (old.type, old.callback, old.cron, old.intervalSeconds, COALESCE(old.payload, 'null'), old.owner_path)) ORDER BY rowid",
    "DROP TABLE cf_agents_schedules_old",
];

impl Table {
    /// `sql` is how the database says the table of that name was made; it contains columns that were added later.
    fn add_columns(&self, store: &dyn Store, name: &str, sql: &str) -> Result<(), HostError> {
        for (column, declaration) in self.added {
            if !has_word(sql, column) {
                store.run(&format!("ALTER TABLE {name} ADD COLUMN {column} {declaration}"), &[])?;
            }
        }
        Ok(())
    }
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').any(|found| found.eq_ignore_ascii_case(word))
}
