//! Text formats of Prometheus: its own one, version 0.0.4, and OpenMetrics 1.0.
//!
//! The crate `prometheus-client` writes OpenMetrics only, where a counter is declared without `_total`.
//! `promtool check metrics` reads the other format and finds no help for such a counter.

use std::fmt::Write as _;

use hyper::header::HeaderValue;

/// Text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Text format 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

/// Metrics as text.
#[derive(Debug)]
pub(super) struct Page {
    format: Format,
    text: String,
}

/// Samples of one metric, with the labels that all of them have.
pub(super) struct Samples<'p> {
    text: &'p mut String,
    name: &'static str,
    /// `NAME="VALUE",...`, escaped.
    labels: String,
}

impl Format {
    /// Format for a client that sends this `Accept` header. Weights are ignored: Prometheus lists OpenMetrics
    /// only if it prefers it.
    pub(super) fn accepted(accept: Option<&HeaderValue>) -> Self {
        let accept = accept.and_then(|value| value.to_str().ok());
        match accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Page {
    pub(super) const fn new(format: Format) -> Self {
        let text = String::new();
        Self { format, text }
    }

    /// Begins a metric. Its samples have to follow.
    pub(super) fn begin(&mut self, name: &'static str, kind: Kind, help: &str) {
        let (kind, family) = match kind {
            Kind::Gauge => ("gauge", name),
            Kind::Counter => ("counter", self.family_of_counter(name)),
        };
        let _ = writeln!(self.text, "# HELP {family} {help}");
        let _ = writeln!(self.text, "# TYPE {family} {kind}");
    }

    /// Samples of the metric that was begun last.
    pub(super) fn samples(&mut self, name: &'static str, labels: &[(&str, &str)]) -> Samples<'_> {
        let mut text = String::new();
        append(&mut text, labels);
        Samples {
            text: &mut self.text,
            name,
            labels: text,
        }
    }

    /// The complete text.
    pub(super) fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    /// Name in the declaration of a counter. OpenMetrics adds the suffix to the samples only.
    fn family_of_counter(&self, name: &'static str) -> &'static str {
        match self.format {
            Format::Prometheus => name,
            Format::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
        }
    }
}

impl Samples<'_> {
    /// The same metric with further labels.
    pub(super) fn with(&mut self, labels: &[(&str, &str)]) -> Samples<'_> {
        let mut all = self.labels.clone();
        append(&mut all, labels);
        Samples {
            text: self.text,
            name: self.name,
            labels: all,
        }
    }

    /// Adds a sample with a whole number.
    pub(super) fn count(&mut self, value: u64) {
        self.add(format_args!("{value}"));
    }

    /// Adds a sample with any finite number.
    pub(super) fn number(&mut self, value: f64) {
        self.add(format_args!("{value}"));
    }

    /// Adds a sample that is 1 or 0.
    pub(super) fn flag(&mut self, value: bool) {
        self.count(value.into());
    }

    fn add(&mut self, value: std::fmt::Arguments<'_>) {
        let Self { text, name, labels } = self;
        let _ = match labels.as_str() {
            "" => writeln!(text, "{name} {value}"),
            labels => writeln!(text, "{name}{{{labels}}} {value}"),
        };
    }
}

/// Appends labels, with the escapes that both formats share.
fn append(text: &mut String, labels: &[(&str, &str)]) {
    for (name, value) in labels {
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}{name}=\"");
        for character in value.chars() {
            match character {
                '\\' => text.push_str(r"\\"),
                '"' => text.push_str(r#"\""#),
                '\n' => text.push_str(r"\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(format: Format) -> String {
        let mut page = Page::new(format);
        page.begin("packets_total", Kind::Counter, "Packets.");
        let mut samples = page.samples("packets_total", &[("name", "a\"b\\c\nd")]);
        samples.with(&[("cause", "length")]).count(u64::MAX);
        page.begin("age_seconds", Kind::Gauge, "Age.");
        page.samples("age_seconds", &[]).number(0.25);
        page.end()
    }

    #[test]
    fn both_text_formats_declare_counters_in_their_way() {
        insta::assert_snapshot!(page(Format::Prometheus), @r#"
        # HELP packets_total Packets.
        # TYPE packets_total counter
        packets_total{name="a\"b\\c\nd",cause="length"} 18446744073709551615
        # HELP age_seconds Age.
        # TYPE age_seconds gauge
        age_seconds 0.25
        "#);
        insta::assert_snapshot!(page(Format::OpenMetrics), @r#"
        # HELP packets Packets.
        # TYPE packets counter
        packets_total{name="a\"b\\c\nd",cause="length"} 18446744073709551615
        # HELP age_seconds Age.
        # TYPE age_seconds gauge
        age_seconds 0.25
        # EOF
        "#);
    }

    #[test]
    fn accept_header_selects_the_text_format() {
        let accepted = |text: &'static str| Format::accepted(Some(&HeaderValue::from_static(text)));
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2,*/*;q=0.1";
        assert_eq!(accepted(prometheus), Format::OpenMetrics);
        assert_eq!(accepted("text/plain"), Format::Prometheus);
        assert_eq!(Format::accepted(None), Format::Prometheus);
    }
}
