//! Roles: which permission keys each has by the settings. It decides about nobody.

use tambour_actors::principal::{Permissions, Role};

use super::Roles;

impl Roles {
    /// The permission keys of a role. Those of owners and admins are not counted up: they pass without.
    #[must_use]
    pub fn permissions(&self, role: Role) -> Permissions {
        match role {
            Role::Viewer => self.viewer.iter().copied().collect(),
            Role::Member | Role::Admin | Role::Owner => self.member.iter().copied().collect(),
        }
    }
}
