//! Metric families of the crate `prometheus`, built at every scrape: values are not kept between scrapes.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// Returns a family of gauges: a name, a help text, and for each sample its labels and its value.
pub(crate) fn gauge_family<'a, L>(name: &str, help: &str, samples: impl IntoIterator<Item = (L, f64)>) -> MetricFamily
where
    L: IntoIterator<Item = (&'a str, &'a str)>,
{
    let metric = |(labels, value): (L, f64)| {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(labels.into_iter().map(label).collect());
        metric.set_gauge(gauge);
        metric
    };
    family(MetricType::GAUGE, name, help, samples.into_iter().map(metric).collect())
}

/// Returns a family of one counter without labels.
pub(crate) fn counter_family(name: &str, help: &str, value: f64) -> MetricFamily {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = Metric::default();
    metric.set_counter(counter);
    family(MetricType::COUNTER, name, help, vec![metric])
}

fn family(kind: MetricType, name: &str, help: &str, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_string());
    family.set_help(help.to_string());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn label((name, value): (&str, &str)) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_string());
    label.set_value(value.to_string());
    label
}
