//! Which class of write goes how far, and what each tenant and role leaves to others.

use tambour_actors::topic_key::{Env, Tenant};

use super::*;

const PAGE_BYTES: u64 = 4_096;
const SPARE: u64 = SPARE_BYTES / PAGE_BYTES;
/// Pages of the limit and of the reserve in these tests.
const LIMIT: u64 = 1_000;
const RESERVE: u64 = 1_600;

fn scope(tenant: &str) -> Option<Scope> {
    Some(Scope { tenant: Tenant::parse(tenant).unwrap(), env: Env::Dev })
}

fn emergency(tenant: &str, role: Role) -> Claim {
    Claim { class: Class::Emergency(role), scope: scope(tenant) }
}

fn reserve(used: u64) -> Reserve {
    let mut reserve = Reserve::default();
    let room = Room { file_bytes_max: Some(LIMIT * PAGE_BYTES), reserve_bytes: RESERVE * PAGE_BYTES };
    reserve.put(room, PAGE_BYTES, used);
    assert!(reserve.is(room) && reserve.is_limited());
    reserve
}

/// Grows a page at a time until there is no room, and says how many pages are in use then.
fn grow(reserve: &mut Reserve, claim: &Claim, mut used: u64) -> u64 {
    while reserve.pages_max(claim, used).expect("there is a limit") > used {
        reserve.committed(claim.clone(), used, used + 1);
        used += 1;
    }
    used
}

#[test]
fn each_class_has_its_end() {
    let reserve = reserve(1);
    for used in [0, LIMIT, LIMIT + SPARE, LIMIT + SPARE + RESERVE] {
        let most = |class| reserve.pages_max(&Claim::of(class), used).unwrap();
        assert_eq!((most(Class::Ordinary), most(Class::Relief)), (LIMIT, LIMIT + SPARE));
        assert_eq!(most(Class::Upkeep), LIMIT + SPARE + RESERVE);
    }
    let most = |role, used| reserve.pages_max(&emergency("t_a", role), used).unwrap();
    assert_eq!(most(Role::Owner, 5), LIMIT + SPARE + RESERVE / 4);
    assert_eq!(most(Role::Admin, 5), LIMIT + SPARE + RESERVE / 8);
    assert_eq!(most(Role::Member, 5), LIMIT + SPARE + RESERVE / 16);
}

#[test]
fn without_a_limit_there_is_none_for_anybody() {
    let mut reserve = Reserve::default();
    reserve.put(Room::default(), PAGE_BYTES, 10);
    for class in [Class::Ordinary, Class::Relief, Class::Emergency(Role::Viewer), Class::Upkeep] {
        assert_eq!(reserve.pages_max(&Claim::of(class), 1_000_000), None);
    }
}

#[test]
fn everybody_leaves_something_to_others() {
    let mut reserve = reserve(1);
    let first = LIMIT + SPARE;
    let mut used = grow(&mut reserve, &emergency("t_a", Role::Member), LIMIT);
    assert_eq!(used, first + RESERVE / 16, "up to the reserve it is nobody's");
    assert_eq!(grow(&mut reserve, &emergency("t_a", Role::Viewer), used), used);
    used = grow(&mut reserve, &emergency("t_a", Role::Admin), used);
    assert_eq!(used, first + RESERVE / 8);
    used = grow(&mut reserve, &emergency("t_a", Role::Owner), used);
    assert_eq!(used, first + RESERVE / 4);
    // Of what is left, the next tenant.
    used = grow(&mut reserve, &emergency("t_b", Role::Owner), used);
    assert_eq!(used, first + RESERVE / 4 + (RESERVE - RESERVE / 4) / 4);
    // What others use later takes nothing back from who has used their part.
    assert_eq!(grow(&mut reserve, &emergency("t_a", Role::Owner), used), used);
    for n in 0..20 {
        let more = grow(&mut reserve, &emergency(&format!("t_{n}"), Role::Owner), used);
        assert!(more > used || used > first + RESERVE - 8, "tenant {n} finds nothing at {used}");
        used = more;
    }
    assert!(used <= first + RESERVE);
}

#[test]
fn what_was_used_is_there_again_when_there_is_room_for_all() {
    let mut reserve = reserve(1);
    let claim = emergency("t_a", Role::Admin);
    let used = grow(&mut reserve, &claim, LIMIT);
    assert!(reserve.used_up() && !reserve.used_up(), "told once");
    // A little less in use is no new part of the reserve.
    reserve.committed(Claim::of(Class::Upkeep), used, LIMIT + SPARE + 1);
    assert_eq!(reserve.pages_max(&claim, LIMIT + SPARE + 1), Some(LIMIT + SPARE + 1));
    reserve.committed(Claim::of(Class::Upkeep), LIMIT + SPARE + 1, LIMIT);
    assert!(reserve.used_up());
    assert_eq!(grow(&mut reserve, &claim, LIMIT), used);
}

#[test]
fn a_limit_below_what_is_in_use_stops_writers_and_not_who_stops_them() {
    let used = LIMIT + SPARE + RESERVE + 1;
    let lowered = reserve(used);
    assert_eq!(lowered.pages_max(&Claim::of(Class::Ordinary), used), Some(LIMIT));
    assert_eq!(lowered.pages_max(&Claim::of(Class::Relief), used), Some(used + SPARE));
    assert!(lowered.pages_max(&emergency("t_a", Role::Member), used).unwrap() > used + SPARE);
    // Who has used the reserve up has no other one by a restart.
    let again = reserve(used - 1);
    assert_eq!(again.pages_max(&Claim::of(Class::Relief), used - 1), Some(LIMIT + SPARE));
    assert_eq!(again.pages_max(&emergency("t_a", Role::Owner), used - 1), Some(used - 1));
}
