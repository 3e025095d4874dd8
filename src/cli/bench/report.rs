//! Rows of figures, medians over runs, and how they are printed: one table, or one line of
//! JSON. Never measures.

use serde_json::{Map, Value, json};

use super::readers::Seen;

/// One measurement: a name, a transport, and figures by column.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    mode: &'static str,
    transport: &'static str,
    figures: Vec<(&'static str, f64)>,
    notes: Vec<String>,
}

/// Columns in which one bad run is a bad result: their worst is reported, not their median.
const WORST: &[&str] = &["lost", "duplicated", "out_of_order", "max_ms", "ended"];
/// Columns that must be zero.
const FAULTS: &[&str] = &["lost", "duplicated", "out_of_order", "ended"];

impl Row {
    /// A row without figures.
    pub(crate) fn new(mode: &'static str, transport: &'static str) -> Self {
        Self { mode, transport, figures: Vec::new(), notes: Vec::new() }
    }

    /// Sets a figure.
    pub(crate) fn set(&mut self, column: &'static str, figure: f64) {
        self.figures.push((column, figure));
    }

    /// Sets a latency in milliseconds, if there is one.
    pub(crate) fn latency(&mut self, column: &'static str, ns: Option<u64>) {
        if let Some(ns) = ns {
            self.set(column, ns as f64 / 1e6);
        }
    }

    /// Says something beside the figures.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Sets what readers have seen.
    pub(crate) fn seen(&mut self, seen: &Seen) {
        self.set("deliveries", seen.deliveries as f64);
        self.set("lost", seen.lost as f64);
        self.set("duplicated", seen.duplicated as f64);
        self.set("out_of_order", seen.out_of_order as f64);
        if seen.ended > 0 {
            self.set("ended", seen.ended as f64);
        }
        self.latency("p50_ms", seen.latency.percentile(0.5));
        self.latency("p99_ms", seen.latency.percentile(0.99));
        self.latency("max_ms", (seen.latency.total() > 0).then(|| seen.latency.max()));
        self.notes.extend(seen.oddity.clone());
    }

    /// The figure of a column.
    pub(crate) fn get(&self, column: &str) -> Option<f64> {
        self.figures.iter().find(|(name, _)| *name == column).map(|(_, figure)| *figure)
    }

    /// Whether nothing was lost, doubled, swapped or cut.
    pub(crate) fn sound(&self) -> bool {
        FAULTS.iter().all(|column| self.get(column).unwrap_or_default() == 0.0)
    }
}

/// One row for the same measurement made several times: the median of each figure, and the
/// worst where one bad run is a bad result.
pub(crate) fn combine(runs: &[Row]) -> Option<Row> {
    let mut combined = runs.first()?.clone();
    for row in runs {
        for (column, _) in &row.figures {
            if combined.get(column).is_none() {
                combined.set(column, 0.0);
            }
        }
    }
    for (column, figure) in &mut combined.figures {
        let mut all: Vec<f64> = runs.iter().filter_map(|row| row.get(column)).collect();
        all.sort_by(f64::total_cmp);
        *figure = if WORST.contains(column) { all.last().copied().unwrap_or_default() } else { median(&all) };
    }
    combined.notes = runs.iter().flat_map(|row| row.notes.clone()).collect();
    combined.notes.dedup();
    Some(combined)
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// All rows as one line of JSON.
pub(crate) fn json_line(rows: &[Row], runs: usize) -> String {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut object =
                Map::from_iter([("mode".into(), json!(row.mode)), ("transport".into(), json!(row.transport))]);
            object.extend(row.figures.iter().map(|(column, figure)| ((*column).into(), number(*figure))));
            if !row.notes.is_empty() {
                object.insert("notes".into(), json!(row.notes));
            }
            Value::Object(object)
        })
        .collect();
    json!({"runs": runs, "rows": rows}).to_string()
}

fn number(figure: f64) -> Value {
    if figure.fract() == 0.0 && figure.abs() < 9e15 {
        json!(figure as i64)
    } else {
        json!((figure * 1e4).round() / 1e4)
    }
}

/// All rows as one table; notes below it.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for row in rows {
        columns.extend(
            row.figures.iter().map(|(name, _)| *name).filter(|name| !columns.contains(name)).collect::<Vec<_>>(),
        );
    }
    let mut lines =
        vec![["mode", "transport"].into_iter().chain(columns.iter().copied()).map(String::from).collect::<Vec<_>>()];
    for row in rows {
        let figures = columns.iter().map(|column| row.get(column).map_or_else(|| "-".into(), short));
        lines.push([row.mode.into(), row.transport.into()].into_iter().chain(figures).collect());
    }
    let widths: Vec<usize> =
        (0..lines[0].len()).map(|at| lines.iter().map(|line| line[at].len()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            text += &if at < 2 { format!("{cell:<width$}  ") } else { format!("{cell:>width$}  ") };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    for row in rows {
        for note in &row.notes {
            text += &format!("  {} {}: {note}\n", row.mode, row.transport);
        }
    }
    text
}

/// A figure with three places where they matter.
fn short(figure: f64) -> String {
    match figure.abs() {
        size if figure.fract() == 0.0 || size >= 1_000.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cpu: f64, lost: f64) -> Row {
        let mut row = Row::new("fanout", "ws");
        row.set("cpu", cpu);
        row.set("lost", lost);
        row
    }

    #[test]
    fn medians_and_worsts() {
        for (runs, cpu, lost) in [
            (vec![row(3.0, 0.0)], 3.0, 0.0),
            (vec![row(1.0, 0.0), row(9.0, 7.0), row(2.0, 0.0)], 2.0, 7.0),
            (vec![row(1.0, 0.0), row(2.0, 0.0)], 1.5, 0.0),
        ] {
            let combined = combine(&runs).unwrap();
            assert_eq!((combined.get("cpu"), combined.get("lost")), (Some(cpu), Some(lost)));
            assert_eq!(combined.sound(), lost == 0.0);
        }
        assert!(combine(&[]).is_none());
    }

    #[test]
    fn a_figure_that_only_some_runs_have_stays() {
        let mut bad = row(1.0, 0.0);
        bad.set("ended", 2.0);
        let combined = combine(&[row(1.0, 0.0), bad]).unwrap();
        assert_eq!(combined.get("ended"), Some(2.0));
        assert!(!combined.sound());
    }

    #[test]
    fn printed() {
        let mut rows = vec![row(0.12345, 3.0), row(12_345.6, 0.0)];
        rows[1].set("extra", 25.25);
        rows[1].note("said");
        assert_eq!(
            table(&rows),
            "mode    transport    cpu  lost  extra\n\
             fanout  ws         0.123     3      -\n\
             fanout  ws         12346     0   25.2\n  fanout ws: said\n"
        );
        let line: Value = serde_json::from_str(&json_line(&rows, 5)).unwrap();
        assert_eq!(line["runs"], 5);
        assert_eq!(line["rows"][0], json!({"mode": "fanout", "transport": "ws", "cpu": 0.1235, "lost": 3}));
    }
}
