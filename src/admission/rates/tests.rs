//! Rates, by a clock that the tests move.

use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

use super::super::permit::tests::principal;
use super::*;

fn limiter(per_minute: u64) -> (Limiter<u32, FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (Limiter::new(per_minute, clock.clone()).unwrap(), clock)
}

#[test]
fn as_many_at_once_as_in_a_minute_and_then_one_by_one() {
    let (limiter, clock) = limiter(6);
    for left in (0..6).rev() {
        let expected = Allowance { limit: 6, remaining: left, reset_seconds: u64::from(6 - left) * 10 };
        assert_eq!(limiter.take(&1), (expected, None));
    }
    let (allowance, wait_ms) = limiter.take(&1);
    assert_eq!((allowance.remaining, allowance.reset_seconds), (0, 60));
    // Whoever waits as they are told gets one, and no more.
    let wait_ms = wait_ms.unwrap();
    assert!((10_000..10_010).contains(&wait_ms), "{wait_ms}");
    assert_eq!(limiter.take(&2).1, None, "another is not asked to wait");
    clock.advance(Duration::from_millis(wait_ms));
    assert_eq!(limiter.take(&1).1, None);
    assert!(limiter.take(&1).1.is_some());
    clock.advance(Duration::from_secs(60));
    assert_eq!(limiter.take(&1).0.remaining, 5);
}

#[test]
fn who_has_all_of_it_again_is_forgotten() {
    let (limiter, clock) = limiter(600);
    for key in 0..100_000 {
        limiter.take(&key);
    }
    assert_eq!(limiter.limiter.len(), 100_000);
    clock.advance(Duration::from_millis(50));
    limiter.sweep();
    assert_eq!(limiter.limiter.len(), 100_000, "nobody is forgotten who has used some of it");
    clock.advance(Duration::from_millis(1_000));
    limiter.take(&7);
    limiter.sweep();
    assert_eq!(limiter.limiter.len(), 1);
}

#[test]
fn no_limit() {
    assert!(Limiter::<u32, _>::new(0, FakeRelativeClock::default()).is_none());
    let none = config::Rates {
        publish_per_minute: 0,
        action_per_minute: 0,
        principal_share_percent: 50,
        actions: Vec::new(),
        bad_tokens_per_minute: 0,
    };
    let rates = Rates::new(&none);
    let bad = Refusal::new(Code::TokenInvalid, "x");
    for _ in 0..1_000 {
        assert_eq!(rates.refused(Address::V4([1; 4]), bad.clone()), bad);
    }
    assert_eq!(rates.entries(), 0);
}

#[test]
fn only_tokens_that_are_not_accepted_are_counted() {
    let settings = config::Settings::default().rates;
    let rates = Rates::new(&settings);
    let (here, there) = (Address::V4([1; 4]), Address::V4([2; 4]));
    for code in [Code::TokenExpired, Code::TokenMissing, Code::TenantMismatch, Code::KeysUnavailable] {
        for _ in 0..10 {
            assert_eq!(rates.refused(here, code.into()).code, code);
        }
    }
    for _ in 0..5 {
        assert_eq!(rates.refused(here, Code::TokenInvalid.into()).code, Code::TokenInvalid);
    }
    let refused = rates.refused(here, Code::TokenInvalid.into());
    assert_eq!(refused.code, Code::BadTokens);
    assert!(refused.more.unwrap()["retry_after_ms"].as_u64().is_some_and(|ms| (1..=12_010).contains(&ms)));
    assert_eq!(rates.refused(there, Code::TokenInvalid.into()).code, Code::TokenInvalid);
    assert_eq!(rates.entries(), 2);
}

#[test]
fn racing_takers_get_no_more_than_there_is() {
    let limiter = Limiter::new(50, FakeRelativeClock::default()).unwrap();
    let passed = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    if limiter.take(&1).1.is_none() {
                        passed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), 50);
}

#[test]
fn whoever_floods_an_action_leaves_the_rest_of_it_to_others() {
    let clock = FakeRelativeClock::default();
    let shared = Shared::new(100, 50, clock.clone()).unwrap();
    let (alice, bob) = (principal("t_a", "alice"), principal("t_a", "bob"));
    let (mut of_alice, mut of_bob) = (0, 0);
    for tenth in 0..6_000 {
        let (allowance, met) = shared.take(&alice, "threads.create");
        of_alice += usize::from(met.is_none());
        assert!(met.is_none() || (met.is_some_and(|(met, _)| met == Met::Share) && allowance.limit == 50));
        if tenth % 12 == 0 {
            of_bob += 1;
            assert_eq!(shared.take(&bob, "threads.create").1, None, "bob, the {of_bob}th time");
        }
        clock.advance(Duration::from_millis(100));
    }
    assert!((545..=550).contains(&of_alice) && of_bob == 500, "{of_alice} and {of_bob} in ten minutes");
    // Nobody has more than the tenant has, however many they are.
    let crowd = (0..20).flat_map(|n| [principal("t_b", &n.to_string()); 1].into_iter().cycle().take(10));
    let passed = crowd.filter(|one| shared.take(one, "threads.create").1.is_none()).count();
    assert_eq!((passed, shared.take(&principal("t_b", "new"), "threads.create").1.unwrap().0), (100, Met::Tenant));
    // A share is never nothing, and there may be none.
    assert_eq!(Shared::new(1, 1, clock.clone()).unwrap().take(&alice, "x").1, None);
    let whole = Shared::new(100, 100, clock).unwrap();
    assert_eq!((0..200).filter(|_| whole.take(&alice, "x").1.is_none()).count(), 100);
}

#[test]
fn members_who_flood_an_action_together_do_not_keep_an_admin_from_it() {
    let clock = FakeRelativeClock::default();
    let shared = Shared::new(10, 50, clock.clone()).unwrap();
    let as_role = |sub: &str, role| Principal { role, ..Principal::clone(&principal("t_a", sub)) };
    for flooder in ["alice", "bob"] {
        let flooder = as_role(flooder, Role::Member);
        assert_eq!((0..50).filter(|_| shared.take(&flooder, "threads.delete").1.is_none()).count(), 5);
    }
    assert_eq!(shared.take(&as_role("carol", Role::Member), "threads.delete").1.unwrap().0, Met::Tenant);
    for role in [Role::Admin, Role::Owner] {
        let stops_them = as_role(role.as_str(), role);
        let passed = (0..50).filter(|_| shared.take(&stops_them, "threads.delete").1.is_none()).count();
        assert_eq!(passed, 5, "their own share, whatever the others did");
        assert_eq!(shared.take(&stops_them, "threads.delete").1.unwrap().0, Met::Share);
    }
    // Where there are no shares all is the tenant's.
    let whole = Shared::new(10, 100, clock).unwrap();
    assert_eq!((0..50).filter(|_| whole.take(&as_role("root", Role::Admin), "x").1.is_none()).count(), 10);
}

proptest! {
    #[test]
    fn in_any_stretch_of_time_no_more_than_the_burst_and_what_came_back(
        limit in 1..40_u64, steps in prop::collection::vec(0..4_000_u64, 1..200),
    ) {
        let (limiter, clock) = limiter(limit);
        let mut passed: Vec<u64> = Vec::new();
        let mut now_ms = 0;
        for step_ms in steps {
            clock.advance(Duration::from_millis(step_ms));
            now_ms += step_ms;
            let (allowance, wait_ms) = limiter.take(&1);
            prop_assert!(u64::from(allowance.remaining) < limit && allowance.reset_seconds <= 60);
            match wait_ms {
                None => passed.push(now_ms),
                Some(wait_ms) => prop_assert!(wait_ms <= WINDOW_MS / limit + 1),
            }
            for (earlier, first_ms) in passed.iter().enumerate() {
                let within = (passed.len() - earlier) as u64;
                prop_assert!(within <= limit + (now_ms - first_ms) * limit / WINDOW_MS + 1);
            }
        }
    }
}
