//! The worlds that ship with the worker. Nobody changes them; users get copies.

use serde::{Deserialize, Serialize};

use crate::model::DEFAULT_NAME;

/// The template of a world whose user names none.
pub const DEFAULT_TEMPLATE: &str = "default-world";

/// One agent of a world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Persona {
    /// Unique in its world, and never changed.
    pub id: String,
    /// What it is called, and addressed by.
    pub name: String,
    /// Who it is to be, and what it is to do.
    pub system_prompt: String,
    /// Name of the model that speaks for it.
    pub model: String,
    /// A label for clients. What an agent is doing, events tell.
    pub status: String,
}

/// A world that users get copies of.
#[derive(Debug)]
pub struct Template {
    /// Its name.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub description: &'static str,
    // Id, name and system prompt of each agent.
    agents: &'static [(&'static str, &'static str, &'static str)],
}

/// What clients see of a template.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    name: &'static str,
    description: &'static str,
    agent_count: usize,
}

/// All templates.
pub static TEMPLATES: [Template; 2] = [
    Template {
        name: DEFAULT_TEMPLATE,
        description: "A helper who answers and a skeptic who asks what is wrong with the answer.",
        agents: &[
            ("helper", "Helper", "You are Helper. Answer what the user asks, plainly and in a few sentences."),
            (
                "skeptic",
                "Skeptic",
                "You are Skeptic. In one or two sentences, name what may be wrong or missing in what is being said.",
            ),
        ],
    },
    Template {
        name: "story-world",
        description: "A story that its reader steers, told by a narrator and two of its characters.",
        agents: &[
            ("narrator", "Narrator", "You are Narrator. Tell what happens next in the story, in one short paragraph."),
            ("captain", "Captain", "You are Captain, bold and hasty. Say in one or two sentences what you do next."),
            ("navigator", "Navigator", "You are Navigator, careful and curious. Say in one or two sentences what you notice."),
        ],
    },
];

impl Template {
    /// The template of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        TEMPLATES.iter().find(|template| template.name == name)
    }

    /// Its agents, as a new world gets them.
    pub fn personas(&self) -> Vec<Persona> {
        let persona = |(id, name, system_prompt): &(&str, &str, &str)| Persona {
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            system_prompt: (*system_prompt).to_owned(),
            model: DEFAULT_NAME.to_owned(),
            status: "active".to_owned(),
        };
        self.agents.iter().map(persona).collect()
    }
}

/// All templates, as clients see them.
pub(super) fn summaries() -> Vec<Summary> {
    let summary = |template: &Template| Summary {
        name: template.name,
        description: template.description,
        agent_count: template.agents.len(),
    };
    TEMPLATES.iter().map(summary).collect()
}
