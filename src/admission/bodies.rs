//! Bodies in hand: how many bytes of bodies are held at once, of each principal and in all.
//!
//! What is counted is memory, when it is taken and not when it is announced: who says that much will come has nothing yet.
//! It is given back exactly once, when the value that stands for it goes, however that happens. This file reads no body.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tambour_actors::principal::Principal;
use tambour_actors::refusal::{Code, Refusal};

use super::counts::Holder;
use crate::config::Limits;

/// Counts what is held of the bodies of a hub. Clones count the same.
#[derive(Debug, Clone, Default)]
pub struct Bodies(Arc<Mutex<Counts>>);

/// Who holds nothing has no entry.
#[derive(Debug, Default)]
struct Counts {
    all: usize,
    principals: HashMap<Holder, usize>,
}

/// What is held of one body. Dropping it gives everything back.
#[derive(Debug)]
pub struct InHand {
    bodies: Bodies,
    holder: Holder,
    principal_max: usize,
    all_max: usize,
    bytes: usize,
}

impl Bodies {
    /// A body of a principal, of which nothing is held yet.
    #[must_use]
    pub fn begin(&self, principal: &Principal, limits: &Limits) -> InHand {
        InHand {
            bodies: self.clone(),
            holder: principal.into(),
            principal_max: limits.held_body_bytes_per_principal_max,
            all_max: limits.held_body_bytes_max,
            bytes: 0,
        }
    }

    /// How many bytes are held: of a principal, and in all.
    #[must_use]
    pub fn held(&self, principal: &Principal) -> (usize, usize) {
        let counts = self.0.lock();
        (counts.principals.get(&principal.into()).copied().unwrap_or(0), counts.all)
    }
}

impl InHand {
    /// So many bytes are held from now on. Less is always taken; more is checked and counted in one step.
    ///
    /// # Errors
    /// `limit.body_bytes_principal`, `limit.body_bytes`; what was held before still is.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
        if bytes == self.bytes {
            return Ok(());
        }
        let mut counts = self.bodies.0.lock();
        let of_principal = counts.principals.get(&self.holder).copied().unwrap_or(0);
        let (of_principal, all) = (of_principal - self.bytes + bytes, counts.all - self.bytes + bytes);
        if bytes > self.bytes {
            let full = |code, who: &str, most| {
                Refusal::new(code, format!("{who} in hand as many bytes of bodies as may be ({most}); come back later"))
            };
            if of_principal > self.principal_max {
                return Err(full(Code::PrincipalBodies, "you have", self.principal_max));
            }
            if all > self.all_max {
                return Err(full(Code::AllBodies, "the clients of this hub together have", self.all_max));
            }
        }
        counts.all = all;
        match counts.principals.get_mut(&self.holder) {
            _ if of_principal == 0 => drop(counts.principals.remove(&self.holder)),
            Some(held) => *held = of_principal,
            None => drop(counts.principals.insert(self.holder.clone(), of_principal)),
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        // Nothing is never too much.
        let _ = self.hold(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::permit::tests::{ROOMY, principal};
    use super::*;

    fn limits(of_principal: usize, all: usize) -> Limits {
        Limits { held_body_bytes_per_principal_max: of_principal, held_body_bytes_max: all, ..ROOMY }
    }

    #[test]
    fn bodies_in_hand_are_given_back_once() {
        let (bodies, limits) = (Bodies::default(), limits(10, 15));
        let (alice, bob) = (principal("t_a", "alice"), principal("t_a", "bob"));
        let mut first = bodies.begin(&alice, &limits);
        first.hold(8).unwrap();
        assert_eq!((bodies.held(&alice), bodies.held(&bob)), ((8, 8), (0, 8)));
        let mut second = bodies.begin(&alice, &limits);
        assert_eq!(second.hold(3).unwrap_err().code, Code::PrincipalBodies);
        second.hold(2).unwrap();
        let mut other = bodies.begin(&bob, &limits);
        assert_eq!(other.hold(6).unwrap_err().code, Code::AllBodies);
        other.hold(5).unwrap();
        // Who has too much may always have less, and as much as they have.
        first.hold(8).unwrap();
        first.hold(1).unwrap();
        assert_eq!(bodies.held(&alice), (3, 8));
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _in_hand = second;
            panic!("asked for by the test");
        }));
        assert!(unwound.is_err());
        drop((first, other));
        assert_eq!((bodies.held(&alice), bodies.0.lock().principals.len()), ((0, 0), 0));
    }

    #[test]
    fn racing_bodies_stay_below_both_limits() {
        for limits in [limits(100, 10_000), limits(10_000, 100)] {
            let (bodies, most) = (Bodies::default(), 100);
            let alice = principal("t_a", "alice");
            let refused = std::sync::atomic::AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for thread in 0..8 {
                    let (bodies, alice, limits, refused) = (&bodies, &alice, &limits, &refused);
                    scope.spawn(move || {
                        for n in 0..2_000 {
                            let mut body = bodies.begin(alice, limits);
                            for bytes in [10, 30, 20, 40 + (n + thread) % 7] {
                                if body.hold(bytes).is_err() {
                                    refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                                }
                                assert!(bodies.held(alice).1 <= most);
                                std::thread::yield_now();
                            }
                        }
                    });
                }
            });
            assert!(refused.into_inner() > 0, "nobody met the limit, so nothing was shown");
            assert_eq!(bodies.held(&alice), (0, 0));
        }
    }

    proptest! {
        #[test]
        fn any_bodies_in_any_order_are_counted_as_they_are(
            steps in prop::collection::vec((0..6_usize, 0..60_usize, 0..8_u8), 1..80),
        ) {
            let (bodies, limits) = (Bodies::default(), limits(70, 150));
            let who = ["alice", "bob", "carol"].map(|sub| principal("t_a", sub));
            let mut live: Vec<Option<InHand>> = (0..6).map(|_| None).collect();
            for (place, bytes, what) in steps {
                if what == 0 {
                    live[place] = None;
                } else {
                    let body = live[place].get_or_insert_with(|| bodies.begin(&who[place % 3], &limits));
                    let before = body.bytes;
                    let refused = body.hold(bytes).is_err();
                    prop_assert_eq!(body.bytes, if refused { before } else { bytes });
                    prop_assert!(!refused || bytes > before);
                }
                let held = |whose: usize| live.iter().enumerate().filter(move |(place, _)| place % 3 == whose);
                let sum = |whose| held(whose).filter_map(|(_, body)| body.as_ref()).map(|body| body.bytes).sum::<usize>();
                let all = sum(0) + sum(1) + sum(2);
                for (index, principal) in who.iter().enumerate() {
                    prop_assert_eq!(bodies.held(principal), (sum(index), all));
                    prop_assert!(sum(index) <= 70 && all <= 150);
                }
                prop_assert!(bodies.0.lock().principals.values().all(|bytes| *bytes > 0));
            }
        }
    }
}
