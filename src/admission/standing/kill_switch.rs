//! What is switched off in a tenant and env: actions, what agents do by themselves, providers of models and tools. The one
//! rule of it, for routes, frames and live sessions alike. Pure: who does what comes in, perhaps a refusal comes out.
//!
//! Nothing here is looked up or kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tambour_actors::principal::{ActorType, Principal, Role};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic_key::TopicKind;

/// Most names of a list.
pub const NAMES_MAX: usize = 64;
/// Longest name of a provider in bytes.
pub const PROVIDER_BYTES_MAX: usize = 64;
/// Longest reason in bytes.
pub const REASON_BYTES_MAX: usize = 512;
/// What is never switched off, by the first name of an action: what shows what is switched off and by whom, and what ends it.
const ALWAYS_ON: [&str; 4] = ["audit", "health", "kill_switches", "stats"];
/// Reading is one action, whatever it goes by: these are done with an action of their own, and are the other as well.
const ALSO: [(&str, &str); 2] = [("threads.stream", "threads.read"), ("canvases.stream", "canvases.read")];

/// What somebody is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doing {
    /// As the table of routes names it.
    pub action: &'static str,
    /// Whether it is more than to read.
    pub writes: bool,
}

impl Doing {
    /// To read a topic of a kind, whatever it goes by.
    #[must_use]
    pub fn read(kind: TopicKind) -> Self {
        let action = match kind {
            TopicKind::Thread => "threads.read",
            TopicKind::Canvas => "canvases.read",
            TopicKind::System | TopicKind::Feed => "feed.read",
        };
        Self { action, writes: false }
    }

    /// To publish to a topic of a kind; `None`: nobody does.
    #[must_use]
    pub fn publish(kind: TopicKind) -> Option<Self> {
        let action = match kind {
            TopicKind::Thread => "threads.publish",
            TopicKind::Canvas => "canvases.publish",
            TopicKind::System | TopicKind::Feed => return None,
        };
        Some(Self { action, writes: true })
    }
}

/// What is to be switched off, in place of everything that is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Actions, families of them (`threads.*`), or `*`.
    pub actions: BTreeSet<Arc<str>>,
    /// Whether agents may only read.
    pub autonomy: bool,
    /// Providers, in lower case.
    pub providers: BTreeSet<Arc<str>>,
    /// Why, for people.
    pub reason: Option<Arc<str>>,
}

/// What is switched off, each with the highest role that put it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillSwitch {
    /// Actions, families of them, or `*`.
    pub actions: BTreeMap<Arc<str>, Role>,
    /// That agents may only read.
    pub autonomy: Option<Role>,
    /// Providers, in lower case.
    pub providers: BTreeMap<Arc<str>, Role>,
    /// Why, for people.
    pub reason: Option<Arc<str>>,
    /// The `sub` of who said it last.
    pub changed_by: Arc<str>,
    /// When, in milliseconds since 1970.
    pub changed_at_ms: i64,
}

/// Whether an action can be switched off at all. What asks for no token is no matter of a tenant, and is not asked here.
#[must_use]
pub fn can_be_off(action: &str) -> bool {
    !ALWAYS_ON.contains(&action.split('.').next().unwrap_or_default())
}

/// Whether an entry names an action: by its name, by a family that it is of, or as all of them.
#[must_use]
pub fn covers(entry: &str, action: &str) -> bool {
    match entry.strip_suffix('*') {
        Some(family) => action.starts_with(family),
        None => entry == action,
    }
}

impl KillSwitch {
    /// What is switched off when somebody replaces what is. Whoever lifts something that a higher role put is refused; what
    /// both of them say stays with the higher one.
    ///
    /// # Errors
    /// `permission.denied`.
    pub fn replaced(before: Option<&Self>, asked: Asked, by: &Principal, now_ms: i64) -> Result<Self, Refusal> {
        let Asked { actions, autonomy, providers, reason } = asked;
        let held = before.and_then(|before| before.autonomy).filter(|held| *held > by.role);
        if held.is_some() && !autonomy {
            return Err(above("disable_autonomy"));
        }
        let autonomy_before = before.and_then(|before| before.autonomy);
        Ok(Self {
            actions: kept(before.map(|before| &before.actions), actions, by.role)?,
            autonomy: autonomy.then(|| autonomy_before.map_or(by.role, |held| held.max(by.role))),
            providers: kept(before.map(|before| &before.providers), providers, by.role)?,
            reason,
            changed_by: by.sub.clone(),
            changed_at_ms: now_ms,
        })
    }

    /// Whether nothing is switched off.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.actions.is_empty() && self.autonomy.is_none() && self.providers.is_empty()
    }

    /// Whether a sender of a type may do something.
    ///
    /// # Errors
    /// `kill_switch.blocked`, with the action.
    pub fn check(&self, actor: ActorType, doing: Doing) -> Result<(), Refusal> {
        let Doing { action, writes } = doing;
        if writes && actor == ActorType::Agent && self.autonomy.is_some() {
            let detail = "agents are switched off in this tenant and env: they may only read";
            return Err(Refusal::new(Code::KillSwitch, detail).with("action", action));
        }
        let is_off = |action: &str| can_be_off(action) && self.actions.keys().any(|entry| covers(entry, action));
        let also = ALSO.iter().find(|(own, _)| *own == action).map(|(_, also)| *also);
        match [Some(action), also].into_iter().flatten().find(|action| is_off(action)) {
            None => Ok(()),
            Some(off) => {
                let detail = format!("{off} is switched off in this tenant and env");
                Err(Refusal::new(Code::KillSwitch, detail).with("action", off))
            }
        }
    }

    /// Whether work may be started with a provider; letters are compared without their case.
    ///
    /// # Errors
    /// `kill_switch.blocked`, with the provider.
    pub fn check_provider(&self, provider: &str) -> Result<(), Refusal> {
        match self.providers.get_key_value(provider.to_ascii_lowercase().as_str()) {
            None => Ok(()),
            Some((off, _)) => {
                let detail = format!("the provider {off} is switched off in this tenant and env");
                Err(Refusal::new(Code::KillSwitch, detail).with("provider", &**off))
            }
        }
    }
}

/// The entries that are asked for, each with the highest role that has put it.
fn kept(
    before: Option<&BTreeMap<Arc<str>, Role>>,
    asked: BTreeSet<Arc<str>>,
    by: Role,
) -> Result<BTreeMap<Arc<str>, Role>, Refusal> {
    let lifted = |(entry, role): &(&Arc<str>, &Role)| **role > by && !asked.contains(*entry);
    if let Some((entry, _)) = before.into_iter().flatten().find(lifted) {
        return Err(above(entry));
    }
    let role = |entry: &Arc<str>| before.and_then(|before| before.get(entry)).map_or(by, |role| by.max(*role));
    Ok(asked.into_iter().map(|entry| (entry.clone(), role(&entry))).collect())
}

fn above(entry: &str) -> Refusal {
    Refusal::new(
        Code::Forbidden,
        format!(
            "{entry} was switched off by a higher role than yours: you can't switch it on; say it again with the rest"
        ),
    )
}

#[cfg(test)]
#[path = "kill_switch_tests.rs"]
mod tests;
