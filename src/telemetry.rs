//! What the hub says about itself: log lines on standard error, and counters for Prometheus.
//!
//! No token, secret or payload is ever given to either; metrics have no tenant in their labels.

use std::io::IsTerminal;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tambour_actors::meter::{BOUNDS_US, Counted};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Handle;

use crate::admission::Ground;
use crate::config::Log;
use crate::config::value::{LogFilter, LogFormat};
use crate::control::stats::model::seconds;
use crate::control::stats::samples::Sample;

/// Upper bounds of the buckets of every histogram whose name ends in `_seconds`.
const SECONDS_BUCKETS: [f64; 12] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Starts writing log lines to standard error. A process has one log: the first call decides,
/// later ones change nothing.
///
/// Returns whether this call was the first.
pub fn install_logs(log: &Log) -> bool {
    let builder = tracing_subscriber::fmt().with_env_filter(filter(&log.level)).with_writer(std::io::stderr);
    let is_terminal = std::io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    if json {
        let builder = builder.json().flatten_event(true).with_current_span(true).with_span_list(false);
        let builder = builder.with_filter_reloading();
        let level = builder.reload_handle();
        builder.try_init().is_ok_and(|()| keep(level))
    } else {
        let builder = builder.with_ansi(is_terminal).with_filter_reloading();
        let level = builder.reload_handle();
        builder.try_init().is_ok_and(|()| keep(level))
    }
}

/// Changes the level of the process's log.
type SetLevel = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

static SET_LEVEL: OnceLock<SetLevel> = OnceLock::new();

fn keep<S: 'static>(level: Handle<EnvFilter, S>) -> bool {
    SET_LEVEL.set(Box::new(move |filter| level.reload(filter).is_ok())).is_ok()
}

fn filter(level: &LogFilter) -> EnvFilter {
    // The setting was parsed by the same parser when it was read.
    EnvFilter::try_new(level.as_str()).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Writes other lines from now on. Whether there is a log whose level this is.
pub fn set_level(level: &LogFilter) -> bool {
    SET_LEVEL.get().is_some_and(|set| set(filter(level)))
}

/// Starts counting, and returns what renders the counters in Prometheus' text format.
///
/// A process has one set of counters: every hub in it gets the same handle. Whoever holds it
/// calls `run_upkeep` every few seconds, which bounds the memory of histograms.
///
/// # Panics
/// Never: the buckets are not empty.
#[must_use]
pub fn install_metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let install = || {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
            .expect("the buckets are not empty")
            .build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder of metrics is installed; /metrics stays empty");
        }
        handle
    };
    HANDLE.get_or_init(install).clone()
}

/// What the process and a hub count, as Prometheus reads it.
#[must_use]
pub fn exposition(metrics: &PrometheusHandle, ground: &Ground, sample: &Sample) -> String {
    measure(ground, sample);
    let mut text = metrics.render();
    write_delivery_seconds(&sample.hub.counted, &mut text);
    text
}

/// How long deliveries took, as a histogram in the text format 0.0.4. By hand: the recorder of the others counts its
/// buckets itself, one value after the other, and these are counted where they happen, many at once.
fn write_delivery_seconds(counted: &Counted, text: &mut String) {
    const NAME: &str = "tambour_delivery_seconds";
    let bounds = BOUNDS_US.iter().map(|us| seconds(*us).to_string()).chain(["+Inf".to_owned()]);
    text.push_str(&format!("# TYPE {NAME} histogram\n"));
    let mut all = 0;
    for (bound, count) in bounds.zip(counted.took) {
        all += count;
        text.push_str(&format!("{NAME}_bucket{{le=\"{bound}\"}} {all}\n"));
    }
    text.push_str(&format!("{NAME}_sum {}\n{NAME}_count {all}\n", seconds(counted.took_us)));
}

/// Brings the counters of a hub's rooms up to date, before they are rendered.
fn measure(ground: &Ground, sample: &Sample) {
    let count = |value: usize| u32::try_from(value).map_or(f64::MAX, f64::from);
    metrics::gauge!("tambour_sessions").set(count(ground.permits.held()));
    metrics::gauge!("tambour_topics_awake").set(count(ground.directory.awake()));
    metrics::gauge!("tambour_rate_entries").set(count(ground.terms().rates.entries()));
    let large = |value: u64| count(usize::try_from(value).unwrap_or(usize::MAX));
    metrics::gauge!("tambour_readers").set(large(sample.hub.counted.readers));
    metrics::gauge!("tambour_readers_behind").set(large(sample.hub.lag.readers));
    metrics::counter!("tambour_deliveries_total").absolute(sample.hub.counted.deliveries);
    if let Some(bytes) = sample.memory_bytes {
        metrics::gauge!("tambour_memory_bytes").set(bytes as f64);
    }
    let store = &sample.store;
    metrics::gauge!("tambour_store_write_queue").set(count(store.write_queue));
    metrics::gauge!("tambour_store_read_queue").set(count(store.read_queue));
    metrics::counter!("tambour_store_appends_total").absolute(store.appends);
    metrics::counter!("tambour_store_events_total").absolute(store.events);
    metrics::counter!("tambour_store_bytes_total").absolute(store.bytes);
    metrics::counter!("tambour_store_commits_total").absolute(store.commits);
    metrics::counter!("tambour_store_commit_microseconds_total").absolute(store.commit_us);
    metrics::counter!("tambour_store_failures_total").absolute(store.failures);
    metrics::counter!("tambour_store_checkpoints_total").absolute(store.checkpoints);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn metrics_are_installed_once_for_all() {
        let (first, second) = (install_metrics(), install_metrics());
        metrics::counter!("telemetry_test_total").increment(2);
        metrics::histogram!("telemetry_test_seconds").record(0.003);
        for handle in [first, second] {
            let text = handle.render();
            assert!(text.contains("telemetry_test_total 2"), "{text}");
            assert!(text.contains(r#"telemetry_test_seconds_bucket{le="0.005"} 1"#), "{text}");
        }
    }

    #[test]
    fn buckets_are_added_up() {
        let mut counted = Counted { took_us: 1_500_000, ..Counted::default() };
        (counted.took[0], counted.took[4], counted.took[BOUNDS_US.len()]) = (2, 3, 1);
        let mut text = String::new();
        write_delivery_seconds(&counted, &mut text);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "# TYPE tambour_delivery_seconds histogram");
        assert_eq!(lines[1], r#"tambour_delivery_seconds_bucket{le="0.0001"} 2"#);
        assert_eq!(lines[4..6].iter().map(|line| line.rsplit(' ').next().unwrap()).collect::<Vec<_>>(), ["2", "5"]);
        assert_eq!(lines[BOUNDS_US.len()], r#"tambour_delivery_seconds_bucket{le="10"} 5"#);
        let end = [
            r#"tambour_delivery_seconds_bucket{le="+Inf"} 6"#,
            "tambour_delivery_seconds_sum 1.5",
            "tambour_delivery_seconds_count 6",
        ];
        assert_eq!(lines[BOUNDS_US.len() + 1..], end);
    }

    #[test]
    fn logs_are_installed_once() {
        let log = Settings::default().log;
        install_logs(&log);
        assert!(!install_logs(&log));
    }
}
