//! What a write is for, which decides how far it may go when a store is nearly full.
//!
//! Plain values: how much room a class has is the store's to say, who may do what is admission's.

use crate::principal::Role;

/// What a write is for. Said by whoever asks for it, from what the caller may do and never from what they wish. The least
/// pressing comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It adds something.
    Ordinary,
    /// Anybody takes something of their own away: it is written down, and makes room in the end.
    Relief,
    /// It stops somebody, or takes away what they made, by the authority of this role.
    Emergency(Role),
    /// The hub keeps itself and its readers going. It takes rows away, or adds few that no caller can make more of.
    Upkeep,
}

impl Class {
    /// The class of taking something away, by somebody of this role: who administers the tenant does it for others.
    #[must_use]
    pub fn taking_away(role: Role) -> Self {
        if role.administers() { Self::Emergency(role) } else { Self::Relief }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_administers_takes_away_by_authority() {
        assert_eq!(Class::taking_away(Role::Owner), Class::Emergency(Role::Owner));
        assert_eq!(Class::taking_away(Role::Admin), Class::Emergency(Role::Admin));
        assert_eq!([Role::Member, Role::Viewer].map(Class::taking_away), [Class::Relief; 2]);
        assert!(Class::Relief < Class::Emergency(Role::Viewer) && Class::Emergency(Role::Owner) < Class::Upkeep);
    }
}
