//! How much of the file each class of write may use: the one place that says so.
//!
//! What counts is how many pages are in use, not how long the file is: pages that were freed are used again, and who gets
//! them is decided here as well. Ordinary writes end at the limit of the file. Behind it there is a spare for whoever takes
//! something away, and behind that the reserve for emergencies, of which everybody leaves a part to others. What was used
//! of either is there again when what is in use is below the limit. Plain values: no SQL, no clock.

use rustc_hash::FxHashMap;
use serde::Deserialize;
use tambour_actors::log::Class;
use tambour_actors::principal::Role;
use tambour_actors::topic_key::Scope;

/// How far above the limit of the file it may grow by what makes room: what is taken away is written down, too.
pub(super) const SPARE_BYTES: u64 = 256 * 1024;

/// How large the database may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Room {
    /// What ordinary writes may use, in bytes; `None`: what the disk holds, and nothing is kept in reserve.
    pub file_bytes_max: Option<u64>,
    /// What emergencies may use beyond that and beyond a spare for deletes, in bytes.
    pub reserve_bytes: u64,
}

impl Default for Room {
    fn default() -> Self {
        Self { file_bytes_max: None, reserve_bytes: 16 * 1024 * 1024 }
    }
}

/// What a transaction needs room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) class: Class,
    /// Of an emergency: whose it is.
    pub(super) scope: Option<Scope>,
}

impl Claim {
    pub(super) const fn of(class: Class) -> Self {
        Self { class, scope: None }
    }
}

/// Most pages in use, by what for.
#[derive(Debug, Clone, Copy)]
struct Limits {
    ordinary: u64,
    relief: u64,
    emergency: u64,
}

/// Which part of the reserve a tenant in an env uses by this role at most, of what others have left: `1/n`. Higher
/// roles find something left when lower ones have used up theirs.
fn part(role: Role) -> u64 {
    match role {
        Role::Owner => 4,
        Role::Admin => 8,
        Role::Member | Role::Viewer => 16,
    }
}

/// What is in force, and who has used how much.
#[derive(Default)]
pub(super) struct Reserve {
    room: Option<Room>,
    limits: Option<Limits>,
    /// Pages of the reserve by whose emergencies they came, since there was room for all.
    taken: FxHashMap<Scope, u64>,
    told: bool,
}

impl Reserve {
    /// Whether this is in force.
    pub(super) fn is(&self, room: Room) -> bool {
        self.room == Some(room)
    }

    /// Whether there is any limit.
    pub(super) fn is_limited(&self) -> bool {
        self.limits.is_some()
    }

    /// From now on this is in force, where so many pages of this size are in use.
    pub(super) fn put(&mut self, room: Room, page_bytes: u64, used: u64) {
        let pages = |bytes: u64| bytes / page_bytes.max(1);
        self.room = Some(room);
        self.limits = room.file_bytes_max.map(|bytes| {
            let ordinary = pages(bytes).max(1);
            let above = |base: u64| {
                let relief = base.saturating_add(pages(SPARE_BYTES));
                Limits { ordinary, relief, emergency: relief.saturating_add(pages(room.reserve_bytes)) }
            };
            // A limit far below what is in use was said by an operator, who still wants to stop people. Nobody else gets
            // a file there.
            let limits = above(ordinary);
            if used > limits.emergency { above(used) } else { limits }
        });
    }

    /// How many pages may be in use behind a transaction that finds `used` of them; `None`: as many as the disk holds.
    pub(super) fn pages_max(&self, claim: &Claim, used: u64) -> Option<u64> {
        let limits = self.limits?;
        Some(match claim.class {
            Class::Ordinary => limits.ordinary,
            Class::Relief => limits.relief,
            Class::Emergency(role) => {
                let begin = used.max(limits.relief);
                let taken = self.taken_by(claim);
                let by_others = (begin - limits.relief).saturating_sub(taken);
                let left = (limits.emergency - limits.relief).saturating_sub(by_others);
                begin.saturating_add((left / part(role)).saturating_sub(taken)).min(limits.emergency.max(used))
            }
            Class::Upkeep => limits.emergency.max(used),
        })
    }

    /// A transaction is on disk that found so many pages in use, and left so many.
    pub(super) fn committed(&mut self, claim: Claim, before: u64, after: u64) {
        let Some(limits) = self.limits else { return };
        if after <= limits.ordinary {
            self.taken.clear();
            self.told = false;
        } else if let (Class::Emergency(_), Some(scope)) = (claim.class, claim.scope) {
            let grew = after.max(limits.relief).saturating_sub(before.max(limits.relief));
            *self.taken.entry(scope).or_default() += grew;
        }
    }

    /// There was no room for an emergency. Whether that is new.
    pub(super) fn used_up(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    fn taken_by(&self, claim: &Claim) -> u64 {
        claim.scope.as_ref().and_then(|scope| self.taken.get(scope)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
#[path = "tests/reserve.rs"]
mod tests;
