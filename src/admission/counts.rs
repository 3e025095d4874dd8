//! How many connections there are of each address, principal and tenant, and in all. Plain values: no lock, no
//! clock, no request.
//!
//! Who has no connection has no entry here, so what is kept is bounded by the connections there are.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use tambour_actors::principal::Principal;
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic_key::Scope;

use crate::config::Limits;

/// Maps give memory back when they have room for more than so many entries, and use less than a quarter of it.
const ROOM_KEPT: usize = 1_024;

/// What connections are counted by before anybody has proved an identity: an IPv4 address, or the /64 of an
/// IPv6 address, because that is what one customer of a provider has at the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Address {
    /// Four bytes.
    V4([u8; 4]),
    /// The first eight bytes.
    V6([u8; 8]),
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl From<Address> for IpAddr {
    /// One that is counted as the same.
    fn from(address: Address) -> Self {
        match address {
            Address::V4(bytes) => Ipv4Addr::from(bytes).into(),
            Address::V6([a, b, c, d, e, f, g, h]) => {
                Ipv6Addr::from([a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0]).into()
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match IpAddr::from(*self) {
            IpAddr::V4(ip) => ip.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

/// A principal as connections are counted: by tenant, env and sub.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder {
    scope: Scope,
    sub: Arc<str>,
}

impl From<&Principal> for Holder {
    fn from(principal: &Principal) -> Self {
        Self { scope: principal.scope.clone(), sub: principal.sub.clone() }
    }
}

/// Which limit is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// That of the address.
    Address,
    /// That of the principal.
    Principal,
    /// That of the tenant in its env.
    Tenant,
    /// That of the hub.
    All,
}

impl Full {
    /// The refusal, with the limit that is in force.
    #[must_use]
    pub fn refusal(self, limits: &Limits) -> Refusal {
        let (code, whose, most) = match self {
            Self::Address => (Code::AddressConnections, "your address", limits.connections_per_ip_max),
            Self::Principal => (Code::PrincipalConnections, "you", limits.connections_per_principal_max),
            Self::Tenant => (Code::TenantConnections, "your tenant, in this env,", limits.connections_per_tenant_max),
            Self::All => (Code::AllConnections, "the clients of this hub together", limits.connections_max),
        };
        let (have, close) = match self {
            Self::Address | Self::Tenant => ("has", "close one, or come back"),
            Self::Principal => ("have", "close one, or come back"),
            Self::All => ("have", "come back"),
        };
        Refusal::new(code, format!("{whose} {have} as many connections as may be ({most}); {close} later"))
    }
}

/// What somebody has of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// Connections of the address.
    pub address: usize,
    /// Of the principal.
    pub principal: usize,
    /// Of the tenant in its env.
    pub tenant: usize,
}

/// The counts.
#[derive(Debug, Default)]
pub struct Counts {
    addresses: HashMap<Address, usize>,
    principals: HashMap<Arc<Holder>, usize>,
    tenants: HashMap<Scope, usize>,
    proved: usize,
    all: usize,
}

impl Counts {
    /// A connection comes from an address.
    ///
    /// # Errors
    /// [`Full::Address`]; nothing is counted then.
    pub fn enter(&mut self, address: Address, limits: &Limits) -> Result<(), Full> {
        if count(&self.addresses, &address) >= limits.connections_per_ip_max {
            return Err(Full::Address);
        }
        *self.addresses.entry(address).or_default() += 1;
        self.all += 1;
        Ok(())
    }

    /// A connection that has entered is a principal's. Who it is given back with, shared with the principal's others.
    ///
    /// # Errors
    /// The first limit that is met, of the principal, the tenant, the hub; nothing more is counted then.
    pub fn prove(&mut self, holder: Holder, limits: &Limits) -> Result<Arc<Holder>, Full> {
        let of_principal = self.principals.get_key_value(&holder);
        if of_principal.is_some_and(|(_, count)| *count >= limits.connections_per_principal_max) {
            return Err(Full::Principal);
        }
        if count(&self.tenants, &holder.scope) >= limits.connections_per_tenant_max {
            return Err(Full::Tenant);
        }
        if self.proved >= limits.connections_max {
            return Err(Full::All);
        }
        let holder = of_principal.map_or_else(|| Arc::new(holder), |(known, _)| known.clone());
        *self.tenants.entry(holder.scope.clone()).or_default() += 1;
        *self.principals.entry(holder.clone()).or_default() += 1;
        self.proved += 1;
        Ok(holder)
    }

    /// A connection is over.
    pub fn leave(&mut self, address: Address, holder: Option<&Holder>) {
        less(&mut self.addresses, &address);
        self.all -= 1;
        if let Some(holder) = holder {
            less(&mut self.principals, holder);
            less(&mut self.tenants, &holder.scope);
            self.proved -= 1;
        }
    }

    /// What an address and a principal have now.
    #[must_use]
    pub fn used(&self, address: Address, holder: &Holder) -> Used {
        Used {
            address: count(&self.addresses, &address),
            principal: count(&self.principals, holder),
            tenant: count(&self.tenants, &holder.scope),
        }
    }

    /// How many connections each tenant has in each env. Who has none is not in it.
    #[must_use]
    pub fn tenants(&self) -> &HashMap<Scope, usize> {
        &self.tenants
    }

    /// How many connections there are, those that have not said `hello` yet too.
    #[must_use]
    pub fn all(&self) -> usize {
        self.all
    }
}

fn count<K: Borrow<Q> + Eq + Hash, Q: Eq + Hash>(counts: &HashMap<K, usize>, key: &Q) -> usize {
    counts.get(key).copied().unwrap_or(0)
}

/// One less; the entry goes with the last.
fn less<K: Borrow<Q> + Eq + Hash, Q: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &Q) {
    match counts.get_mut(key) {
        Some(count) if *count > 1 => *count -= 1,
        Some(_) => {
            counts.remove(key);
            if counts.capacity() > ROOM_KEPT && counts.len() < counts.capacity() / 4 {
                counts.shrink_to(counts.len() * 2);
            }
        }
        None => debug_assert!(false, "a connection is given back twice"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tambour_actors::topic_key::{Env, Tenant};

    use super::*;

    fn limits(ip: usize, principal: usize, tenant: usize, all: usize) -> Limits {
        Limits {
            connections_per_ip_max: ip,
            connections_per_principal_max: principal,
            connections_per_tenant_max: tenant,
            connections_max: all,
            held_body_bytes_per_principal_max: 0,
            held_body_bytes_max: 0,
        }
    }

    /// One of 2 tenants, 2 envs, 3 subs.
    fn holder(which: u8) -> Holder {
        let tenant = Tenant::parse(if which & 1 == 0 { "t_a" } else { "t_b" }).unwrap();
        let env = if which & 2 == 0 { Env::Dev } else { Env::Prod };
        Holder { scope: Scope { tenant, env }, sub: ["x", "y", "z"][usize::from(which / 4) % 3].into() }
    }

    fn address(which: u8) -> Address {
        Address::V4([10, 0, 0, which])
    }

    #[derive(Debug, Clone)]
    enum Step {
        Enter(u8),
        Prove(usize, u8),
        Leave(usize),
        /// A reload: limits may fall below what there is.
        Limit(usize, usize, usize, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3_u8).prop_map(Step::Enter),
            4 => (any::<usize>(), 0..12_u8).prop_map(|(index, who)| Step::Prove(index, who)),
            3 => any::<usize>().prop_map(Step::Leave),
            1 => (1..6_usize, 1..4_usize, 1..5_usize, 1..8_usize).prop_map(|(a, b, c, d)| Step::Limit(a, b, c, d)),
        ]
    }

    /// The same by looking at every connection there is.
    fn counted(live: &[(Address, Option<Arc<Holder>>)], who: &Holder, at: Address) -> (Used, usize) {
        let of = |holds: &dyn Fn(&Holder) -> bool| {
            live.iter().filter(|(_, holder)| holder.as_deref().is_some_and(holds)).count()
        };
        let used = Used {
            address: live.iter().filter(|(address, _)| *address == at).count(),
            principal: of(&|holder| holder == who),
            tenant: of(&|holder| holder.scope == who.scope),
        };
        (used, of(&|_| true))
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_connections(steps in prop::collection::vec(step(), 1..200)) {
            let mut max = limits(3, 2, 4, 6);
            let mut counts = Counts::default();
            let mut live: Vec<(Address, Option<Arc<Holder>>)> = Vec::new();
            for step in steps {
                match step {
                    Step::Enter(which) => {
                        let (used, _) = counted(&live, &holder(0), address(which));
                        let entered = counts.enter(address(which), &max);
                        let full = used.address >= max.connections_per_ip_max;
                        prop_assert_eq!(entered, if full { Err(Full::Address) } else { Ok(()) });
                        if !full {
                            live.push((address(which), None));
                        }
                    }
                    Step::Prove(index, who) if !live.is_empty() => {
                        let index = index % live.len();
                        if live[index].1.is_some() {
                            continue;
                        }
                        let (used, proved) = counted(&live, &holder(who), live[index].0);
                        let expected = if used.principal >= max.connections_per_principal_max {
                            Err(Full::Principal)
                        } else if used.tenant >= max.connections_per_tenant_max {
                            Err(Full::Tenant)
                        } else if proved >= max.connections_max {
                            Err(Full::All)
                        } else {
                            Ok(Arc::new(holder(who)))
                        };
                        let got = counts.prove(holder(who), &max);
                        prop_assert_eq!(&got, &expected);
                        live[index].1 = got.ok();
                    }
                    Step::Leave(index) if !live.is_empty() => {
                        let (address, holder) = live.swap_remove(index % live.len());
                        counts.leave(address, holder.as_deref());
                    }
                    Step::Limit(ip, principal, tenant, all) => max = limits(ip, principal, tenant, all),
                    Step::Prove(..) | Step::Leave(_) => {}
                }
                for which in 0..12 {
                    let (used, proved) = counted(&live, &holder(which), address(which % 3));
                    prop_assert_eq!(counts.used(address(which % 3), &holder(which)), used);
                    prop_assert_eq!((counts.all(), counts.proved), (live.len(), proved));
                }
                // Whoever has a connection has one entry, and nobody else has any.
                prop_assert!(counts.addresses.values().chain(counts.principals.values()).all(|count| *count > 0));
                prop_assert!(counts.tenants.values().all(|count| *count > 0));
            }
        }
    }

    #[test]
    fn a_crowd_that_left_leaves_no_memory() {
        let max = limits(1, 1, 100_000, 100_000);
        let mut counts = Counts::default();
        let crowd = |n: u32| (Address::V4(n.to_be_bytes()), Holder { sub: n.to_string().into(), ..holder(0) });
        let held: Vec<_> = (0..50_000_u32)
            .map(|n| {
                let (address, holder) = crowd(n);
                counts.enter(address, &max).unwrap();
                (address, counts.prove(holder, &max).unwrap())
            })
            .collect();
        assert!(counts.addresses.capacity() >= 50_000);
        for (address, holder) in held {
            counts.leave(address, Some(&holder));
        }
        assert_eq!((counts.all(), counts.addresses.len(), counts.principals.len(), counts.tenants.len()), (0, 0, 0, 0));
        assert!(counts.addresses.capacity() <= 2 * ROOM_KEPT && counts.principals.capacity() <= 2 * ROOM_KEPT);
    }

    #[test]
    fn addresses() {
        let of = |ip: &str| Address::from(ip.parse::<IpAddr>().unwrap());
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("10.0.0.1"), of("::ffff:10.0.0.1"), "the same host, seen through a socket of the other family");
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("::1"), of("0.0.0.1"));
    }

    #[test]
    fn a_refusal_names_the_limit() {
        let max = limits(1_001, 1_002, 1_003, 1_004);
        for (full, most) in
            [(Full::Address, "1001"), (Full::Principal, "1002"), (Full::Tenant, "1003"), (Full::All, "1004")]
        {
            let refusal = full.refusal(&max);
            assert!(refusal.detail.contains(&format!("({most})")), "{refusal}");
        }
    }
}
