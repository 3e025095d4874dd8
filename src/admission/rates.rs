//! Rates: how often something may be done in 60 s, by whom. Checking and counting are one step.
//!
//! A limit of N lets N pass at once, and from then on one in every 60/N s (GCRA: one moment is kept for each that is
//! counted). Who has done nothing for as long as it takes to have all of it again has no entry.
//!
//! Actions are a tenant's, and each principal has a share of them: whoever floods one meets their own share before they
//! have taken all of it from the others of their tenant. An owner's and an admin's share is there whatever the others do.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tambour_actors::principal::{Principal, Role};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic_key::Scope;

use super::counts::{Address, Holder};
use crate::config;
use crate::routes::Rate;

/// The window of every rate, in milliseconds.
const WINDOW_MS: u64 = 60_000;

/// What somebody has left of the rate that they will meet first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// How many there may be in 60 s.
    pub limit: u32,
    /// How many may follow at once.
    pub remaining: u32,
    /// In how many seconds all of them may again.
    pub reset_seconds: u64,
}

/// One rate, counted for each key.
struct Limiter<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    limiter: RateLimiter<K, HashMapStateStore<K>, C, StateInformationMiddleware>,
    clock: C,
    limit: NonZeroU32,
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Limiter<K, C> {
    /// `None` where there is no limit.
    fn new(per_minute: u64, clock: C) -> Option<Self> {
        let limit = NonZeroU32::new(u32::try_from(per_minute).unwrap_or(u32::MAX))?;
        let limiter = RateLimiter::hashmap_with_clock(Quota::per_minute(limit), clock.clone()).with_middleware();
        Some(Self { limiter, clock, limit })
    }

    /// Counts one, or says in how many milliseconds there will be room for it.
    fn take(&self, key: &K) -> (Allowance, Option<u64>) {
        let limit = self.limit.get();
        let (remaining, wait_ms) = match self.limiter.check_key(key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.clock.now());
                (0, Some(u64::try_from(wait.as_millis()).unwrap_or(WINDOW_MS) + 1))
            }
        };
        let used = u64::from(limit - remaining.min(limit));
        (Allowance { limit, remaining, reset_seconds: (used * WINDOW_MS).div_ceil(u64::from(limit) * 1_000) }, wait_ms)
    }

    /// Forgets who has all of it again.
    fn sweep(&self) {
        let before = self.limiter.len();
        self.limiter.retain_recent();
        if self.limiter.len() < before / 4 {
            self.limiter.shrink_to_fit();
        }
    }
}

/// An action of a tenant in an env, and in it the share of each principal.
struct Shared<C: Clock = DefaultClock> {
    all: Limiter<(Scope, &'static str), C>,
    /// `None` where a principal may use all of it.
    share: Option<Limiter<(Holder, &'static str), C>>,
}

/// Whose rate was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Tenant,
    Share,
}

impl<C: Clock + Clone> Shared<C> {
    /// `None` where there is no limit. A share is never nothing.
    fn new(per_minute: u64, share_percent: u64, clock: C) -> Option<Self> {
        let all = Limiter::new(per_minute, clock.clone())?;
        let share = (per_minute * share_percent).div_ceil(100);
        let share = if share < per_minute { Limiter::new(share, clock) } else { None };
        Some(Self { all, share })
    }

    /// Counts one, or says in how many milliseconds to come back, and why. The share is first: what it refuses is not
    /// counted against the tenant. Owners and admins are bound by their own share alone.
    fn take(&self, principal: &Principal, action: &'static str) -> (Allowance, Option<(Met, u64)>) {
        let own = self.share.as_ref().map(|share| share.take(&(principal.into(), action)));
        if let Some((allowance, Some(wait_ms))) = own {
            return (allowance, Some((Met::Share, wait_ms)));
        }
        let (all, wait_ms) = self.all.take(&(principal.scope.clone(), action));
        let own = own.map(|(own, _)| own);
        if let Some(own) = own.filter(|_| wait_ms.is_some() && principal.role >= Role::Admin) {
            // Members who flood an action together must not keep from it who has to stop them.
            return (own, None);
        }
        let nearest = own.filter(|own| wait_ms.is_none() && own.remaining < all.remaining);
        (nearest.unwrap_or(all), wait_ms.map(|wait_ms| (Met::Tenant, wait_ms)))
    }

    fn sweep(&self) {
        self.all.sweep();
        self.share.iter().for_each(Limiter::sweep);
    }

    fn entries(&self) -> usize {
        self.all.limiter.len() + self.share.as_ref().map_or(0, |share| share.limiter.len())
    }
}

/// The rates that are in force, and what was counted.
pub struct Rates {
    settings: config::Rates,
    publishes: Option<Limiter<Holder>>,
    actions: Option<Shared>,
    /// Actions with a rate of their own.
    own: Vec<(&'static str, Option<Shared>)>,
    bad_tokens: Option<Limiter<Address>>,
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Rates").field(&self.settings).finish()
    }
}

impl Rates {
    /// How often what was counted long enough ago is forgotten.
    pub const SWEEP: Duration = Duration::from_secs(10);

    /// Nothing was counted.
    #[must_use]
    pub fn new(settings: &config::Rates) -> Self {
        let shared = |per_minute| Shared::new(per_minute, settings.principal_share_percent, DefaultClock::default());
        let own = settings.actions.iter().map(|own| (own.action, shared(u64::from(own.per_minute))));
        Self {
            settings: settings.clone(),
            publishes: Limiter::new(settings.publish_per_minute, DefaultClock::default()),
            actions: shared(settings.action_per_minute),
            own: own.collect(),
            bad_tokens: Limiter::new(settings.bad_tokens_per_minute, DefaultClock::default()),
        }
    }

    /// The same while the settings are the same; a reload that changes a rate begins to count anew.
    #[must_use]
    pub fn over(settings: &config::Rates, running: &Arc<Self>) -> Arc<Self> {
        if running.settings == *settings { running.clone() } else { Arc::new(Self::new(settings)) }
    }

    /// Counts what a principal does. What they have left of its rate, if it has one, and whether it may be done.
    pub fn take(
        &self,
        rate: Rate,
        action: &'static str,
        principal: &Principal,
    ) -> (Option<Allowance>, Result<(), Refusal>) {
        if rate == Rate::Publish {
            let Some(limiter) = &self.publishes else { return (None, Ok(())) };
            let (allowance, wait_ms) = limiter.take(&principal.into());
            let words = format!("you publish more than {} times in 60 s; come back later", allowance.limit);
            return (Some(allowance), wait_ms.map_or(Ok(()), |wait_ms| Err(too_often(words, wait_ms))));
        }
        let own = self.own.iter().find(|(name, _)| *name == action);
        let Some(shared) = own.map_or(self.actions.as_ref(), |(_, own)| own.as_ref()) else { return (None, Ok(())) };
        let (allowance, met) = shared.take(principal, action);
        let limit = allowance.limit;
        let words = |met| match met {
            Met::Tenant => {
                format!("your tenant, in this env, does {action} more than {limit} times in 60 s; come back later")
            }
            Met::Share => format!(
                "you do {action} more than {limit} times in 60 s, which is your share of your tenant's; come back later"
            ),
        };
        (Some(allowance), met.map_or(Ok(()), |(met, wait_ms)| Err(too_often(words(met), wait_ms))))
    }

    /// The refusal of a token, counted for its address: above the rate another one. One whose key is not known yet counts as
    /// well: whoever names keys that nobody has would not be counted at all while their issuer can't be asked.
    #[must_use]
    pub fn refused(&self, address: Address, refusal: Refusal) -> Refusal {
        let counts = matches!(refusal.code, Code::TokenInvalid | Code::SigningKeyUnknown);
        let Some(limiter) = self.bad_tokens.as_ref().filter(|_| counts) else { return refusal };
        match limiter.take(&address) {
            (_, None) => refusal,
            (allowance, Some(wait_ms)) => {
                let most = allowance.limit;
                let words =
                    format!("your address has shown {most} tokens in 60 s that are not accepted; a good one always is");
                Refusal::new(Code::BadTokens, words).with("retry_after_ms", wait_ms)
            }
        }
    }

    /// Forgets whoever has all of their rate again.
    pub fn sweep(&self) {
        self.publishes.iter().for_each(Limiter::sweep);
        self.shared().for_each(Shared::sweep);
        self.bad_tokens.iter().for_each(Limiter::sweep);
    }

    /// How many entries there are.
    #[must_use]
    pub fn entries(&self) -> usize {
        let publishes = self.publishes.as_ref().map_or(0, |limiter| limiter.limiter.len());
        let addresses = self.bad_tokens.as_ref().map_or(0, |limiter| limiter.limiter.len());
        publishes + addresses + self.shared().map(Shared::entries).sum::<usize>()
    }

    fn shared(&self) -> impl Iterator<Item = &Shared> {
        self.actions.iter().chain(self.own.iter().filter_map(|(_, own)| own.as_ref()))
    }
}

fn too_often(words: String, wait_ms: u64) -> Refusal {
    Refusal::new(Code::RateLimited, words).with("retry_after_ms", wait_ms)
}

#[cfg(test)]
mod tests;
