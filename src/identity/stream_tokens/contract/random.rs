//! Random calls on a store of stream tokens, each held against the model. It never looks into the store.

use tambour_actors::principal::Role;
use uuid::Uuid;

use super::super::model::Model;
use super::super::{Held, Revoke, StreamId};
use super::{Case, Made, World, new, scope};

impl<W: World> Case<W> {
    /// A few thousand random calls, each held against the model.
    pub(super) fn random_calls_agree_with_a_model(&self, steps: usize) {
        let mut seed = getrandom::u64().unwrap();
        eprintln!("seed {seed}");
        let mut dice = |most: u64| {
            // xorshift64*
            seed ^= seed >> 12;
            seed ^= seed << 25;
            seed ^= seed >> 27;
            (seed.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % most
        };
        let mut model = Model::default();
        let virtual_time = self.0.ttl_ms() > 5_000;
        for step in 0..steps {
            let now_ms = self.0.now_ms();
            let (number, stream) = (dice(24), u128::from(dice(6)));
            let keep_ms = i64::try_from(dice(40_000)).unwrap();
            match dice(12) {
                0..=3 => {
                    let ends_at_ms =
                        if virtual_time { now_ms + i64::try_from(dice(300_000)).unwrap() } else { i64::MAX };
                    let made = Made {
                        // A digest is never used twice.
                        digest: (u64::try_from(step).unwrap() << 8) | number,
                        sub: ["alice", "bob"][usize::try_from(dice(2)).unwrap()],
                        jti: [Some("j"), Some("k"), None][usize::try_from(dice(3)).unwrap()],
                        issuer: [None, None, Some("key:a")][usize::try_from(dice(3)).unwrap()],
                        ttl_ms: if virtual_time { 1 + i64::try_from(dice(60_000)).unwrap() } else { 600_000 },
                        ends_at_ms,
                        single_use: dice(4) == 0,
                        within: [None, Some(("all", 5))][usize::try_from(dice(2)).unwrap()],
                        tenant: ["t_demo", "t_other"][usize::try_from(dice(2)).unwrap()],
                        role: [Role::Viewer, Role::Admin][usize::try_from(dice(2)).unwrap()],
                        issued_at_ms: i64::try_from(dice(10)).unwrap(),
                    };
                    let new = new(&made, 3);
                    let expected = model.issue(&new, now_ms);
                    let issued = self.0.wait(self.0.tokens().issue(new, now_ms));
                    assert_eq!(issued.is_ok(), expected, "step {step}");
                    continue;
                }
                4 => {
                    let (demo, sub) = (scope("t_demo"), ["alice", "bob"][usize::try_from(dice(2)).unwrap()]);
                    let authority = [Role::Member, Role::Owner][usize::try_from(dice(2)).unwrap()];
                    let which = match dice(8) {
                        0 => Revoke::Sub(demo, sub.into(), authority, i64::try_from(dice(12)).unwrap()),
                        1 => Revoke::Jti(demo, "j".into(), authority),
                        2 => Revoke::Key(demo, "key:a".into()),
                        _ => Revoke::Token(model.any(dice(64))),
                    };
                    assert_eq!(self.revoke(which.clone()), model.revoke(&which, now_ms), "step {step} {which:?}");
                    continue;
                }
                5 if virtual_time => self.0.pass(i64::try_from(dice(20_000)).unwrap()),
                _ => {}
            }
            let now_ms = self.0.now_ms();
            let held = Held { digest: model.any(number), stream: StreamId(Uuid::from_u128(stream)) };
            let (wait, tokens) = (&self.0, self.0.tokens());
            match dice(4) {
                0 => assert_eq!(
                    wait.wait(tokens.find(held.digest, now_ms)),
                    Ok(model.find(held.digest, now_ms)),
                    "{step}"
                ),
                1 => {
                    let opened = wait.wait(tokens.open(held, keep_ms, now_ms));
                    assert_eq!(opened, Ok(model.open(held, keep_ms, now_ms)), "step {step}");
                }
                2 => {
                    let kept = wait.wait(tokens.keep(vec![held], keep_ms, now_ms));
                    assert_eq!(kept, Ok(vec![model.keep(held, keep_ms, now_ms)]), "step {step}");
                }
                _ => {
                    wait.wait(tokens.release(vec![held], now_ms)).unwrap();
                    model.release(held, now_ms);
                }
            }
        }
    }
}
