//! HTTP as the harness needs it: GET on loopback, with a deadline, no proxy, and errors that name the address.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use ureq::Agent;

/// The deadline of one request.
const LIMIT: Duration = Duration::from_secs(5);

static AGENT: LazyLock<Agent> = LazyLock::new(|| {
    // A proxy from the environment is for the outside; everything asked here is on this machine.
    Agent::config_builder().timeout_global(Some(LIMIT)).proxy(None).http_status_as_error(false).build().into()
});

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Asks for an address, whatever the status of the answer.
pub fn get(url: &str) -> Result<Answer> {
    get_with(url, &[])
}

/// As [`get`], with query parameters, which are encoded here.
pub fn get_with(url: &str, parameters: &[(&str, &str)]) -> Result<Answer> {
    let request = AGENT.get(url).query_pairs(parameters.iter().copied());
    let mut answer = request.call().with_context(|| format!("GET {url}"))?;
    let body = answer.body_mut().read_to_string().with_context(|| format!("GET {url}"))?;
    Ok(Answer { status: answer.status().as_u16(), body })
}

/// The body of an answer with status 200.
pub fn get_text(url: &str) -> Result<String> {
    expect_ok(url, get(url)?)
}

/// The parsed body of an answer with status 200.
pub fn get_json<T: DeserializeOwned>(url: &str, parameters: &[(&str, &str)]) -> Result<T> {
    let body = expect_ok(url, get_with(url, parameters)?)?;
    serde_json::from_str(&body).with_context(|| format!("GET {url}: unexpected answer {}", start(&body)))
}

fn expect_ok(url: &str, answer: Answer) -> Result<String> {
    if answer.status != 200 {
        bail!("GET {url}: {}: {}", answer.status, start(&answer.body));
    }
    Ok(answer.body)
}

/// As much of a body as fits a message.
pub fn start(body: &str) -> String {
    body.trim().chars().take(200).collect()
}
