//! The text format 0.0.4, written straight into one buffer: a scrape's values live no longer than its answer.

use std::fmt::Write;

/// What comes before a family's samples: `head!` makes one.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub(super) name: &'static str,
    pub(super) comments: &'static str,
}

/// `head!(gauge, NAME, HELP)`, or `counter`, which only ever grows. Both are literals, the help a line that needs no
/// escaping, so that the compiler puts together what no scrape changes.
macro_rules! head {
    (gauge, $name:literal, $help:literal) => {
        $crate::collector::head!(@ "gauge", $name, $help)
    };
    (counter, $name:literal, $help:literal) => {
        $crate::collector::head!(@ "counter", $name, $help)
    };
    (@ $kind:literal, $name:literal, $help:literal) => {
        $crate::collector::Head::new(
            $name,
            concat!("# HELP ", $name, " ", $help, "\n# TYPE ", $name, " ", $kind, "\n"),
        )
    };
}
pub(crate) use head;

impl Head {
    pub(crate) const fn new(name: &'static str, comments: &'static str) -> Self {
        Self { name, comments }
    }
}

/// An exposition that is being written.
#[derive(Debug, Default)]
pub struct Text(String);

/// A usual exposition fits, so that it is not copied while it grows.
const USUAL_SIZE: usize = 4096;

impl Text {
    /// Nothing is written yet.
    #[must_use]
    pub fn new() -> Self {
        Self(String::with_capacity(USUAL_SIZE))
    }

    /// Begins a family of samples that share a name, a help text and a kind. All of them follow before the next one.
    pub fn family(&mut self, head: Head) -> Family<'_> {
        self.0.push_str(head.comments);
        Family { text: &mut self.0, name: head.name }
    }

    /// What has been written, at the end of the scrape.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }

    /// Runs `write`, and takes back what it has written if it fails.
    ///
    /// # Errors
    ///
    /// What `write` says.
    pub fn all_or_nothing<E>(&mut self, write: impl FnOnce(&mut Self) -> Result<(), E>) -> Result<(), E> {
        let before = self.0.len();
        let outcome = write(self);
        if outcome.is_err() {
            self.0.truncate(before);
        }
        outcome
    }
}

/// A family whose samples are being written.
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Family<'_> {
    /// Adds one sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(self.name);
        let mut before = "{";
        for (name, label) in labels {
            push(self.text, &[before, name, "=\""]);
            push_escaped(self.text, label);
            before = "\",";
        }
        self.text.push_str(if labels.is_empty() { " " } else { "\"} " });
        push_value(self.text, value);
        self.text.push('\n');
    }
}

fn push(text: &mut String, parts: &[&str]) {
    for part in parts {
        text.push_str(part);
    }
}

/// Puts a backslash before what is special, all of which is ASCII; a line feed becomes the letter `n`.
fn push_escaped(text: &mut String, mut rest: &str) {
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'\\' | b'\n' | b'"')) {
        let (plain, special) = rest.split_at(at);
        push(text, &[plain, "\\", if special.starts_with('\n') { "n" } else { &special[..1] }]);
        rest = &special[1..];
    }
    text.push_str(rest);
}

/// Most values are whole, and a whole number is written for a tenth of the cost.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::float_cmp)]
fn push_value(text: &mut String, value: f64) {
    let whole = value as u32;
    if f64::from(whole) == value && value.is_sign_positive() {
        text.push_str(itoa::Buffer::new().format(whole));
    } else {
        // Writing to a string cannot fail.
        let _ = write!(text, "{value}");
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss)]
mod tests {
    use prometheus::TextEncoder;
    use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
    use proptest::prelude::*;

    use super::*;

    const LABELS: [&str; 3] = ["hostname", "duration", "a_Label_3"];

    const COUNTER: Head = head!(counter, "some_name", "Some \"help\".");
    const GAUGE: Head = head!(gauge, "some_name", "Some \"help\".");

    type Sample = (Vec<String>, f64);

    proptest! {
        /// The crate `prometheus` says what is right. It takes twice the instructions, for it is made for families that
        /// are kept from one scrape to the next.
        #[test]
        fn the_bytes_are_those_of_the_prometheus_crate(
            counter: bool,
            samples in prop::collection::vec(
                (
                    prop::collection::vec(r#".{0,12}|[\\\n"a]{0,8}"#, 0..=LABELS.len()),
                    prop_oneof![any::<f64>(), any::<u64>().prop_map(|whole| whole as f64), -1e3..1e3, Just(-0.0)],
                ),
                1..4,
            ),
        ) {
            let mut text = Text::new();
            let mut family = text.family(if counter { COUNTER } else { GAUGE });
            for (labels, value) in &samples {
                let labels: Vec<_> = LABELS.into_iter().zip(labels.iter().map(String::as_str)).collect();
                family.sample(&labels, *value);
            }
            prop_assert_eq!(text.finish(), theirs(counter, &samples));
        }

        #[test]
        fn whole_numbers_are_written_as_floats_are(whole in 0_u64..1 << 54, bits in 0_u32..=54) {
            let value = (whole >> bits) as f64;
            let mut text = String::new();
            push_value(&mut text, value);
            prop_assert_eq!(text, value.to_string());
        }
    }

    fn theirs(counter: bool, samples: &[Sample]) -> String {
        let mut family = MetricFamily::default();
        family.set_name("some_name".to_string());
        family.set_help("Some \"help\".".to_string());
        family.set_field_type(if counter { MetricType::COUNTER } else { MetricType::GAUGE });
        family.set_metric(samples.iter().map(|sample| their_metric(counter, sample)).collect());
        TextEncoder::new().encode_to_string(&[family]).unwrap()
    }

    fn their_metric(counter: bool, (labels, value): &Sample) -> Metric {
        let pair = |(name, value): (&str, &String)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_string());
            pair.set_value(value.clone());
            pair
        };
        let mut metric = Metric::from_label(LABELS.into_iter().zip(labels).map(pair).collect());
        if counter {
            let mut counter = Counter::default();
            counter.set_value(*value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(*value);
            metric.set_gauge(gauge);
        }
        metric
    }

    #[test]
    fn families_follow_each_other_as_prometheus_reads_them() {
        let mut text = Text::new();
        let mut load = text.family(head!(gauge, "node_load", "Load, over a \"duration\"."));
        load.sample(&[("hostname", "a\"b\\c\nd"), ("duration", "1m")], 0.57);
        load.sample(&[], 4096.0);
        text.family(head!(counter, "seconds_total", "Seconds.")).sample(&[], 1e-7);
        let expected = r#"# HELP node_load Load, over a "duration".
# TYPE node_load gauge
node_load{hostname="a\"b\\c\nd",duration="1m"} 0.57
node_load 4096
# HELP seconds_total Seconds.
# TYPE seconds_total counter
seconds_total 0.0000001
"#;
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn what_fails_leaves_nothing() {
        let mut text = Text::new();
        text.family(head!(gauge, "a", "A.")).sample(&[], 1.0);
        let before = text.0.clone();
        let write = |text: &mut Text| {
            text.family(head!(gauge, "b", "B.")).sample(&[], 0.0);
            Err("no value")
        };
        assert_eq!(text.all_or_nothing(write), Err("no value"));
        assert_eq!(text.0, before);
        let write = |text: &mut Text| {
            text.family(head!(gauge, "b", "B.")).sample(&[], 2.0);
            Ok::<(), ()>(())
        };
        assert_eq!(text.all_or_nothing(write), Ok(()));
        assert!(text.finish().ends_with("\nb 2\n"));
    }
}
