//! Permits: room for a connection, given back exactly once when its last holder lets go, however that happens.
//!
//! The counting itself is in [`super::counts`]; here it is shared by all workers. Checking and taking are one step
//! under one lock, so racing openers never exceed a limit.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use parking_lot::Mutex;
use tambour_actors::principal::Principal;
use tambour_actors::refusal::Refusal;
use tambour_actors::session::gate::Hold;
use tambour_actors::topic_key::Scope;

pub use super::counts::{Address, Used};
use super::counts::{Counts, Holder};
use crate::config::Limits;
use crate::routes::RouteSpec;

/// Counts the connections of a hub. Clones count the same ones.
#[derive(Debug, Clone, Default)]
pub struct Permits(Arc<Mutex<Counts>>);

/// Room for one connection: a session, or a request that asks for one. It begins as its address's, and is
/// its principal's, too, once there is one. Dropping it gives everything back.
///
/// Each idle session keeps one for as long as it lives: four words.
#[derive(Debug)]
pub struct Permit {
    permits: Permits,
    address: Address,
    /// Where its route stands in the table; before that is known, behind its end.
    opened_by: Cell<u8>,
    holder: OnceCell<Arc<Holder>>,
}

impl Permits {
    /// Takes room for a connection of an address.
    ///
    /// # Errors
    /// `limit.connections_ip`.
    pub fn enter(&self, address: Address, limits: &Limits) -> Result<Rc<Permit>, Refusal> {
        self.0.lock().enter(address, limits).map_err(|full| full.refusal(limits))?;
        Ok(Rc::new(Permit { permits: self.clone(), address, opened_by: Cell::new(u8::MAX), holder: OnceCell::new() }))
    }

    /// How many connections there are.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.lock().all()
    }

    /// How many connections of who has proved an identity each tenant has in each env.
    #[must_use]
    pub fn by_scope(&self) -> HashMap<Scope, usize> {
        self.0.lock().tenants().clone()
    }

    /// What an address and a principal have now.
    #[must_use]
    pub fn used(&self, address: Address, principal: &Principal) -> Used {
        self.0.lock().used(address, &principal.into())
    }
}

impl Permit {
    /// Where the connection comes from.
    #[must_use]
    pub fn address(&self) -> Address {
        self.address
    }

    /// A route opens the connection.
    pub fn opens(&self, route: &RouteSpec) {
        self.opened_by.set(route.place());
    }

    /// The connection is this principal's: takes room of theirs, of their tenant and of the hub. What a permit
    /// has it keeps: the second time there is nothing to do.
    ///
    /// # Errors
    /// `limit.connections_principal`, `limit.connections_tenant`, `limit.connections`.
    pub fn prove(&self, principal: &Principal, limits: &Limits) -> Result<(), Refusal> {
        if self.holder.get().is_none() {
            let proved = self.permits.0.lock().prove(principal.into(), limits);
            // Nobody else sets it meanwhile: a permit stays on its thread.
            let _ = self.holder.set(proved.map_err(|full| full.refusal(limits))?);
        }
        Ok(())
    }
}

impl Hold for Permit {
    fn from(&self) -> String {
        self.address.to_string()
    }

    fn address(&self) -> IpAddr {
        self.address.into()
    }

    fn opened_by(&self) -> u8 {
        self.opened_by.get()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.0.lock().leave(self.address, self.holder.get().map(|holder| &**holder));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tambour_actors::principal::{ActorType, Granted, Permissions, Proof, Role};
    use tambour_actors::refusal::Code;
    use tambour_actors::topic_key::{Env, Scope, Tenant};

    use super::*;

    pub(in crate::admission) fn principal(tenant: &str, sub: &str) -> Principal {
        let scope = Scope { tenant: Tenant::parse(tenant).unwrap(), env: Env::Dev };
        Principal {
            sub: sub.into(),
            scope,
            granted: Granted { role: Role::Member, permissions: Permissions::NONE },
            role: Role::Member,
            actor_type: ActorType::Human,
            read_only: false,
            permissions: Permissions::NONE,
            acts_for: None,
            proof: Proof::Main { jti: None, issued_at_ms: 0 },
            expires_at_ms: 0,
        }
    }

    pub(in crate::admission) const ROOMY: Limits = Limits {
        connections_per_ip_max: 1_000,
        connections_per_principal_max: 1_000,
        connections_per_tenant_max: 1_000,
        connections_max: 1_000,
        held_body_bytes_per_principal_max: 0,
        held_body_bytes_max: 0,
    };

    /// Threads open as fast as they can with room for fewer than there are of them.
    fn race(limits: &Limits, code: Code, most: usize) {
        const THREADS: usize = 8;
        const ROUNDS: usize = 2_000;
        let permits = Permits::default();
        let (inside, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let start = Barrier::new(THREADS);
        let address = Address::V4([10, 0, 0, 1]);
        let alice = principal("t_a", "alice");
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..ROUNDS {
                        let opened = permits
                            .enter(address, limits)
                            .and_then(|permit| permit.prove(&alice, limits).map(|()| permit));
                        match opened {
                            Ok(permit) => {
                                assert!(inside.fetch_add(1, Ordering::SeqCst) < most, "more than {most} at once");
                                std::thread::yield_now();
                                inside.fetch_sub(1, Ordering::SeqCst);
                                drop(permit);
                            }
                            Err(refusal) => {
                                assert_eq!(refusal.code, code);
                                refused.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    }
                });
            }
        });
        assert!(refused.load(Ordering::SeqCst) > 0, "{code:?}: nobody met the limit, so nothing was shown");
        assert_eq!(permits.held(), 0);
        assert_eq!(permits.used(address, &alice), Used { address: 0, principal: 0, tenant: 0 });
    }

    #[test]
    fn racing_openers_stay_below_every_limit_and_leak_nothing() {
        race(&Limits { connections_per_ip_max: 3, ..ROOMY }, Code::AddressConnections, 3);
        race(&Limits { connections_per_principal_max: 3, ..ROOMY }, Code::PrincipalConnections, 3);
        race(&Limits { connections_per_tenant_max: 3, ..ROOMY }, Code::TenantConnections, 3);
        race(&Limits { connections_max: 3, ..ROOMY }, Code::AllConnections, 3);
    }

    #[test]
    fn a_permit_is_given_back_once_by_its_last_holder() {
        let permits = Permits::default();
        let (address, alice, bob) = (Address::V4([1; 4]), principal("t_a", "alice"), principal("t_a", "bob"));
        let permit = permits.enter(address, &ROOMY).unwrap();
        assert_eq!(permits.used(address, &alice), Used { address: 1, principal: 0, tenant: 0 });
        permit.prove(&alice, &ROOMY).unwrap();
        permit.prove(&alice, &ROOMY).unwrap();
        assert_eq!(permits.used(address, &alice), Used { address: 1, principal: 1, tenant: 1 });
        assert_eq!(permits.used(address, &bob), Used { address: 1, principal: 0, tenant: 1 });
        let held = permit.clone();
        drop(permit);
        assert_eq!(permits.held(), 1);
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _held = held;
            panic!("asked for by the test");
        }));
        assert!(unwound.is_err());
        assert_eq!((permits.held(), permits.used(address, &bob).tenant), (0, 0));
    }

    #[test]
    fn who_is_refused_keeps_nothing() {
        let permits = Permits::default();
        let full = Limits { connections_per_tenant_max: 1, ..ROOMY };
        let first = permits.enter(Address::V4([1; 4]), &full).unwrap();
        first.prove(&principal("t_a", "alice"), &full).unwrap();
        let second = permits.enter(Address::V4([2; 4]), &full).unwrap();
        let refused = second.prove(&principal("t_a", "bob"), &full).unwrap_err();
        assert_eq!(refused.code, Code::TenantConnections);
        second.prove(&principal("t_b", "bob"), &full).expect("another tenant has room");
        drop((first, second));
        assert_eq!(permits.held(), 0);
    }

    #[test]
    fn a_permit_is_small() {
        // With the two counters of its `Rc`, the size class of 48 bytes.
        assert!(size_of::<Permit>() <= 32, "{}", size_of::<Permit>());
    }
}
