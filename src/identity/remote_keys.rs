//! The keys of one issuer that are fetched: kept while they can't be fetched again, and asked for again when a token
//! names one that is not known.
//!
//! One fetch at a time, on a thread of its own; whoever needs it waits for it. The URL is the configuration's; a token
//! decides only whether it is asked, and that at most once a minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use ureq::tls::TlsConfig;

use super::authorities;
use super::fetch::{FETCH_TIMEOUT, FetchError, fetch};
use super::key::KeyError;
use super::key_set::KeySet;
use crate::config::Auth;
use crate::config::key_url::KeyUrl;
use crate::config::value::Algorithm;

/// How often at most tokens that name an unknown key cause a fetch.
const UNKNOWN_EVERY: Duration = Duration::from_secs(60);
/// How long after a fetch that failed the next one is tried.
const RETRY: Duration = Duration::from_secs(5);
/// How long a request waits for a fetch. Its time is up before.
const PATIENCE: Duration = FETCH_TIMEOUT.saturating_add(Duration::from_secs(1));

/// Fetched keys. See the module.
#[derive(Debug)]
pub(super) struct RemoteKeys {
    source: Source,
    tls: Option<TlsConfig>,
    state: Mutex<State>,
    /// Counts the fetches that are over.
    fetched: watch::Sender<u64>,
}

/// Which keys: another source is another set.
#[derive(Debug, Clone, PartialEq)]
struct Source {
    issuer: String,
    url: KeyUrl,
    algorithm: Algorithm,
    ca: Option<std::path::PathBuf>,
}

/// What is known, and what is under way.
#[derive(Debug, Default)]
struct State {
    set: Option<Arc<KeySet>>,
    /// The answer that the set is made of.
    answer: Vec<u8>,
    is_fetching: bool,
    failed: bool,
    began: Option<Instant>,
    /// When a token last caused a fetch.
    caused: Option<Instant>,
}

impl State {
    /// Whether it is time to fetch again by itself.
    fn is_due(&self, now: Instant, every: Duration) -> bool {
        let every = if self.failed || self.set.is_none() { every.min(RETRY) } else { every };
        !self.is_fetching && self.began.is_none_or(|began| now.duration_since(began) >= every)
    }

    /// Whether a token that names an unknown key, or comes before there are keys, may cause a fetch.
    fn may_cause(&self, now: Instant) -> bool {
        self.wait(now).is_zero()
    }

    /// How long it is until one may.
    fn wait(&self, now: Instant) -> Duration {
        let (last, every) = match self.set {
            Some(_) => (self.caused, UNKNOWN_EVERY),
            None => (self.began, RETRY),
        };
        last.map_or(Duration::ZERO, |last| every.saturating_sub(now.duration_since(last)))
    }
}

impl RemoteKeys {
    /// Keys that were not fetched yet.
    ///
    /// # Errors
    /// Nobody's certificate can be checked; production, and a URL that is not protected.
    pub(super) fn new(auth: &Auth, url: KeyUrl, production: bool) -> Result<Self, KeyError> {
        if production && !url.is_https() {
            return Err(KeyError::Unprotected(url.as_str().to_owned()));
        }
        let tls = url.is_https().then(|| authorities::tls(auth.jwks_ca_file.as_deref())).transpose()?;
        let source = Source {
            issuer: auth.issuer.clone().unwrap_or_default(),
            url,
            algorithm: auth.algorithm,
            ca: auth.jwks_ca_file.clone(),
        };
        Ok(Self { source, tls, state: Mutex::default(), fetched: watch::Sender::default() })
    }

    /// Takes over what another value has fetched from the same source.
    pub(super) fn take_over(&self, other: &Self) {
        if self.source == other.source {
            let other = other.state.lock();
            // What the other is fetching it alone will have: here it is fetched again.
            *self.state.lock() = State {
                set: other.set.clone(),
                answer: other.answer.clone(),
                is_fetching: false,
                failed: other.failed || other.is_fetching,
                began: other.began,
                caused: other.caused,
            };
        }
    }

    /// The keys; `None` when they were never fetched.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        self.state.lock().set.clone()
    }

    /// Begins a fetch if it is time for one.
    pub(super) fn refresh(self: &Arc<Self>, now: Instant, every: Duration) {
        let mut state = self.state.lock();
        if state.is_due(now, every) {
            self.begin(&mut state, now);
        }
    }

    /// Waits for the fetch that is under way, or for one that begins now. `None` when the issuer has answered: what is not
    /// known then, is not. Else in how long it may be asked again, at once when it is too early to ask now.
    pub(super) async fn ask_again(self: &Arc<Self>, now: Instant) -> Option<Duration> {
        let mut fetched = self.fetched.subscribe();
        {
            let mut state = self.state.lock();
            if !state.is_fetching {
                if !state.may_cause(now) {
                    return Some(state.wait(now));
                }
                state.caused = state.set.is_some().then_some(now);
                self.begin(&mut state, now);
            }
        }
        // The sender lives as long as these keys, so what ends the wait is the fetch, or its time.
        let _ = tokio::time::timeout(PATIENCE, fetched.changed()).await;
        let state = self.state.lock();
        (state.failed || state.is_fetching).then(|| state.wait(Instant::now()))
    }

    fn begin(self: &Arc<Self>, state: &mut State, now: Instant) {
        state.is_fetching = true;
        state.began = Some(now);
        let keys = self.clone();
        let thread = std::thread::Builder::new().name("issuer-keys".to_owned());
        let begun = thread.spawn(move || {
            let fetched = fetch(keys.source.url.as_str(), keys.tls.clone());
            keys.fetched(&mut keys.state.lock(), fetched);
        });
        if let Err(error) = begun {
            self.fetched(state, Err(FetchError::NoThread(error)));
        }
    }

    fn fetched(&self, state: &mut State, answer: Result<Vec<u8>, FetchError>) {
        state.is_fetching = false;
        let generation = state.set.as_ref().map_or(0, |set| set.generation) + 1;
        let made = answer.and_then(|answer| {
            let set = KeySet::parse(&answer, self.source.algorithm, generation).map_err(FetchError::NotJwks)?;
            Ok((answer, set))
        });
        let (issuer, url) = (&self.source.issuer, self.source.url.as_str());
        state.failed = made.is_err();
        match made {
            // The same again: what was verified with it is still good.
            Ok((answer, _)) if state.set.is_some() && state.answer == answer => {}
            Ok((answer, set)) => {
                if set.len() == 0 {
                    tracing::warn!(issuer, url, "none of the issuer's keys is a public one for its algorithm");
                } else {
                    tracing::info!(issuer, url, keys = set.len(), "the issuer's keys were fetched");
                }
                state.answer = answer;
                state.set = Some(Arc::new(set));
            }
            Err(error) => {
                let kept = state.set.as_ref().map_or(0, |set| set.len());
                tracing::warn!(issuer, url, %error, kept, "the issuer's keys can't be fetched");
            }
        }
        self.fetched.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_keys_are_fetched() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let every = Duration::from_secs(300);
        let never = State::default();
        assert!(never.is_due(start, every) && never.may_cause(start));
        let fetching = State { is_fetching: true, began: Some(start), ..State::default() };
        assert!(!fetching.is_due(at(1_000), every));
        let lost = State { began: Some(start), ..State::default() };
        assert!(!lost.is_due(at(4), every) && lost.is_due(at(5), every), "without keys it is tried soon");
        let failed = State { failed: true, began: Some(start), ..State::default() };
        assert!(!failed.is_due(at(4), every) && failed.is_due(at(5), every));
        assert!(!failed.may_cause(at(4)) && failed.may_cause(at(5)));
        assert!(failed.is_due(at(1), Duration::from_secs(1)), "never slower than was asked for");
        let jwks = br#"{"keys":[]}"#;
        let set = KeySet::parse(jwks, Algorithm(jsonwebtoken::Algorithm::RS256), 1).unwrap();
        let known = State { set: Some(Arc::new(set)), began: Some(start), ..State::default() };
        assert!(!known.is_due(at(299), every) && known.is_due(at(300), every));
        assert!(known.may_cause(at(1)), "the first unknown key is asked for at once");
        let caused = State { caused: Some(start), ..known };
        assert!(!caused.may_cause(at(59)) && caused.may_cause(at(60)));
        assert_eq!([caused.wait(at(59)), caused.wait(at(100))], [Duration::from_secs(1), Duration::ZERO]);
    }
}
