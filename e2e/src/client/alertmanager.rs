//! A client of Alertmanager's HTTP API v2, as far as the checks need it, and the pages that it has delivered to the lab.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Access;
use super::http::Server;
use super::prometheus::Labels;

/// An Alertmanager, and what it has delivered, where the lab receives it.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    server: Server,
    delivery: Delivery,
}

/// Whom an Alertmanager delivers to.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// The lab.
    Lab(Pages),
    /// Nobody, for the lab cannot receive pages, for this reason.
    Nobody(String),
    /// People, who may be paged by a synthetic alert.
    Probed,
    /// People.
    Unprobed,
}

/// An alert that Alertmanager holds.
#[derive(Clone, Debug, Deserialize)]
pub struct Alert {
    pub fingerprint: String,
    pub labels: Labels,
    receivers: Vec<Receiver>,
    status: AlertStatus,
}

#[derive(Clone, Debug, Deserialize)]
struct Receiver {
    name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct AlertStatus {
    #[serde(rename = "silencedBy")]
    silenced: Vec<String>,
    #[serde(rename = "inhibitedBy")]
    inhibited: Vec<String>,
    #[serde(rename = "mutedBy")]
    muted: Vec<String>,
}

/// The pages that were delivered, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Pages(Arc<Mutex<Vec<Page>>>);

/// A notification of a group of alerts, as a webhook receives it.
#[derive(Clone, Debug, Deserialize)]
pub struct Page {
    pub receiver: String,
    /// `firing` as long as one of its alerts does, then `resolved`.
    pub status: String,
    pub alerts: Vec<PagedAlert>,
    #[serde(skip, default = "SystemTime::now")]
    pub received: SystemTime,
}

#[derive(Clone, Debug, Deserialize)]
pub struct PagedAlert {
    pub labels: Labels,
    #[serde(default)]
    pub annotations: Labels,
    /// `firing` or `resolved`.
    pub status: String,
}

impl Alertmanager {
    /// The lab's own.
    pub fn new(base: impl Into<String>, delivery: Delivery) -> Self {
        Self { server: Server::new(base), delivery }
    }

    /// One anywhere, which pages people; with `probed` they may be by a synthetic alert.
    pub fn elsewhere(base: &str, access: &Access, probed: bool) -> Self {
        let delivery = if probed { Delivery::Probed } else { Delivery::Unprobed };
        Self { server: Server::elsewhere(base, access), delivery }
    }

    pub fn base(&self) -> &str {
        self.server.base()
    }

    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// What it has delivered to the lab; `None` where it pages people.
    pub fn pages(&self) -> Option<&Pages> {
        if let Delivery::Lab(pages) = &self.delivery { Some(pages) } else { None }
    }

    /// Whether it is ready to take alerts. Returns its version.
    pub fn ready(&self) -> Result<String> {
        self.server.get("/-/ready", &[])?.text()?;
        let status: Value = self.server.get("/api/v2/status", &[])?.json()?;
        Ok(status["versionInfo"]["version"].as_str().unwrap_or("unknown").to_owned())
    }

    /// Sends alerts with these labels, which fire from now on for this long.
    pub fn send(&self, alerts: &[Labels], lasting: Duration) -> Result<()> {
        let now = SystemTime::now();
        let [starts_at, ends_at] = [now, now + lasting].map(|time| humantime::format_rfc3339_millis(time).to_string());
        let summary = json!({ "summary": "Synthetic alert of `lab check`." });
        let alert =
            |labels| json!({ "labels": labels, "annotations": summary, "startsAt": starts_at, "endsAt": ends_at });
        self.server.post("/api/v2/alerts", &alerts.iter().map(alert).collect())?.text()?;
        Ok(())
    }

    /// The alerts that it holds with this value of a label.
    pub fn alerts(&self, label: &str, value: &str) -> Result<Vec<Alert>> {
        self.server.get("/api/v2/alerts", &[("filter", &format!("{label}=\"{value}\""))])?.json()
    }

    /// Every alert that it holds.
    pub fn all_alerts(&self) -> Result<Vec<Alert>> {
        self.server.get("/api/v2/alerts", &[])?.json()
    }

    /// How many requests to receivers have failed, in words.
    pub fn refusals(&self) -> Result<String> {
        let (_, failed) = self.requests()?;
        Ok(if failed > 0.0 {
            format!("{failed} requests to receivers failed since it started")
        } else {
            "no request to a receiver failed".to_owned()
        })
    }

    /// How many requests it has made to receivers, and how many of them have failed.
    pub fn requests(&self) -> Result<(f64, f64)> {
        let metrics = self.server.get("/metrics", &[])?.text()?;
        let sum = |metric: &str| -> Result<f64> {
            let values = metrics.lines().filter(|line| line.starts_with(metric)).map(|line| {
                let value = line.rsplit(' ').next().unwrap_or_default();
                value.parse::<f64>().with_context(|| format!("`{line}` has no value"))
            });
            values.sum()
        };
        Ok((
            sum("alertmanager_notification_requests_total{")?,
            sum("alertmanager_notification_requests_failed_total{")?,
        ))
    }
}

impl Alert {
    /// Whether another alert that fires keeps it from being delivered.
    pub fn is_inhibited(&self) -> bool {
        !self.inhibited_by().is_empty()
    }

    /// The fingerprints of the alerts that keep it from being delivered.
    pub fn inhibited_by(&self) -> &[String] {
        &self.status.inhibited
    }

    /// What keeps it from being delivered, or whom it is for.
    pub fn whereabouts(&self) -> String {
        let AlertStatus { silenced, inhibited, muted } = &self.status;
        for (how, by) in [("silenced", silenced), ("inhibited", inhibited), ("muted", muted)] {
            if !by.is_empty() {
                return format!("it is {how} by {}", by.join(", "));
            }
        }
        let receivers: Vec<&str> = self.receivers.iter().map(|receiver| receiver.name.as_str()).collect();
        format!("its route leads to the receiver `{}`", receivers.join("`, `"))
    }
}

impl Page {
    /// Whether one of its alerts has this name.
    pub fn names(&self, alert: &str) -> bool {
        self.alerts.iter().any(|of_page| of_page.labels.get("alertname").is_some_and(|name| name == alert))
    }
}

impl Pages {
    pub fn add(&self, page: Page) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(page);
    }

    /// Every page so far, oldest first.
    pub fn all(&self) -> Vec<Page> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
